"""The console's page of overrides: what counts instead of agents' own configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from agents import selectors
from agents.admin.history import KEPT, RollBackForm, history
from agents.choices import ResponseFormat
from agents.models import Agent, AgentOverride
from agents.operations import catalogue, overrides
from agents.runtime.providers import PROVIDERS
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import (
    CHECKBOXES,
    NUMBER,
    SELECT,
    TEXT,
    TEXTS,
    DialogForm,
    form_button,
    list_form_button,
    text,
)
from preferences.choices import EDIT

DESIGNED: Final = ("", "As designed")
NONE: Final = "none"
THESE: Final = "these"
TOOLS: Final = ((NONE, "None"), (THESE, "Only these"))
OFFERED: Final = 200
LIMITS: Final = {
    "max_tool_calls": "maxToolCalls",
    "timeout": "timeout",
    "max_token_budget": "maxTokenBudget",
}


def _number(label: str, low: int, high: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, min_value=low, max_value=high, required=False, widget=NUMBER()
    )


class ValuesForm(DialogForm):
    """What an override changes; what is left empty is as designed."""

    named: ClassVar = {"selected_tools": "tools"}
    provider = forms.ChoiceField(
        choices=[DESIGNED, *((name, each.label) for name, each in PROVIDERS.items())],
        required=False,
        widget=SELECT(),
    )
    model = text("Model", length=128, required=False)
    system_prompt = forms.CharField(max_length=200_000, required=False, widget=TEXTS())
    temperature = forms.FloatField(
        min_value=0, max_value=2, required=False, widget=TEXT(attrs={"inputmode": "decimal"})
    )
    max_tokens = _number("Max tokens", 1, 1_000_000)
    response_format = forms.ChoiceField(
        choices=[DESIGNED, *ResponseFormat.choices], required=False, widget=SELECT()
    )
    tools_are = forms.ChoiceField(
        label="Tools", choices=(DESIGNED, *TOOLS), required=False, widget=SELECT()
    )
    tools = forms.MultipleChoiceField(label="Only these tools", required=False, widget=CHECKBOXES())
    max_tool_calls = _number("Max tool calls", 0, 100)
    timeout = _number("Timeout (ms)", 1_000, 600_000)
    max_token_budget = _number("Max tokens of a run", 1, 2_000_000_000)

    def prepare(self) -> None:
        """The tools there are; an override that is there says something."""
        organization_id = self.request.user.organization_id
        rows = selectors.list_overrides(organization_id=organization_id)
        override = rows.filter(pk=self.object_id).first() if self.object_id else None
        names = {*catalogue.list_names(organization_id=organization_id)}
        if override is not None:
            for name, value in {**override.values(), **_limits(override)}.items():
                if name in self.fields:
                    self.fields[name].initial = value
            if (selected := override.selected_tools) is not None:
                self.fields["tools_are"].initial = THESE if selected else NONE
                self.fields["tools"].initial = selected
                names.update(selected)  # may be gone from the catalogue
        self.fields["tools"].choices = [(name, name) for name in sorted(names)]

    def clean(self) -> dict[str, Any]:
        """Ticks without the word that they count are no slip to pass over."""
        found = super().clean()
        if found.get("tools") and found.get("tools_are") != THESE:
            self.add_error("tools_are", "Choose “Only these”, or untick the tools.")
        return found

    def values(self) -> dict[str, Any]:
        """As the operation takes them."""
        entered = super().values()
        limits = {LIMITS[name]: entered.pop(name) for name in LIMITS}
        which, names = entered.pop("tools_are"), entered.pop("tools")
        shown = {name: None if value == "" else value for name, value in entered.items()}
        return {
            **shown,
            "selected_tools": {NONE: [], THESE: names}.get(which),
            "guardrails": {k: v for k, v in limits.items() if v is not None} or None,
        }


class OverrideForm(ValuesForm):
    """A new override."""

    agent_name = forms.ChoiceField(label="Agent", required=False, widget=SELECT())
    other_name = text("Or a name that is not there yet", required=False)
    enabled = forms.BooleanField(
        label="Enabled: without it, the agent does nothing", required=False, initial=True
    )
    field_order: ClassVar = ["agent_name", "other_name", "enabled"]

    def prepare(self) -> None:
        """The agents that have no override."""
        super().prepare()
        organization_id = self.request.user.organization_id
        taken = selectors.list_overrides(organization_id=organization_id).values("agent_name")
        agents = selectors.list_agents(organization_id=organization_id)
        names = agents.exclude(name__in=taken).order_by("name").values_list("name", flat=True)
        self.fields["agent_name"].choices = [("", "-"), *((n, n) for n in names[:OFFERED])]

    def clean(self) -> dict[str, Any]:
        """One of both names."""
        found = super().clean()
        if bool(found.get("agent_name")) == bool(found.get("other_name")):
            self.add_error("agent_name", "Choose an agent, or give a name below.")
        return found

    def values(self) -> dict[str, Any]:
        """With the one name that there is."""
        found = super().values()
        other = found.pop("other_name")
        return {**found, "agent_name": found["agent_name"] or other}


class RevisionForm(RollBackForm):
    """Which revision of the override."""

    label = "Revision"

    def find(self, organization_id: UUID, object_id: UUID) -> QuerySet[Any]:
        """Its revisions."""
        return selectors.list_revisions(organization_id=organization_id, override_id=object_id)


def _limits(override: AgentOverride) -> dict[str, Any]:
    given = override.guardrails or {}
    return {name: given.get(key) for name, key in LIMITS.items()}


def _changes(override: AgentOverride) -> str:
    said = {k: v for k, v in override.values().items() if k != "enabled" and v is not None}
    return ", ".join(name.replace("_", " ") for name in said) or display.NOTHING


def _agent(override: AgentOverride) -> str:
    found: UUID | None = getattr(override, "agent_id", None)
    if found is None:
        return display.status("orphan", "no such agent")
    return display.page_link("agents_agent", found, override.agent_name)


@admin.register(AgentOverride)
class AgentOverrideAdmin(ConsoleAdmin):
    """What counts instead of agents' own configuration."""

    page_title = "Overrides"
    view_permission = "agent.read"
    edit_permission = EDIT
    audited_as = ("agent_override", "agent_name")
    api_path = "/v1/agentoverride"
    list_display: ClassVar = (
        "agent_name",
        column("agent", lambda override: override, _agent),
        column(
            "state",
            lambda override: "enabled" if override.enabled else "disabled",
            display.status,
        ),
        column("changes", lambda override: override, _changes),
        column("version", lambda override: override.record_version),
        time_column("updated_at", "changed"),
        "short_id",
    )
    list_filter: ClassVar = ("enabled",)
    search_fields: ClassVar = ("agent_name",)
    fields: ClassVar = (
        "agent_name",
        column("agent", lambda override: override, _agent),
        "enabled",
        "provider",
        "model",
        column("prompt", lambda override: override.system_prompt or "", display.text_box),
        "temperature",
        "max_tokens",
        "response_format",
        column("tools", lambda override: override.selected_tools, display.structure_block),
        column("guardrails", lambda override: override.guardrails, display.structure_block),
        "record_version",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_override",)
    actions_detail: ClassVar = (
        "enable",
        "disable",
        "change_override",
        "roll_back",
        "delete_override",
    )
    change_form_outer_after_template = "console/agent_versions.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentOverride]:
        """Those that were not deleted."""
        return super().get_queryset(request).filter(deleted_at=None)

    def read_along(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """The agents that go by the names."""
        organization_id = request.user.organization_id  # type: ignore[union-attr]  # logged in
        agents: QuerySet[Agent] = selectors.list_agents(organization_id=organization_id)
        named = agents.filter(name__in=[row.agent_name for row in rows]).order_by()
        found = dict(named.values_list("name", "pk"))
        for row in rows:
            row.agent_id = found.get(row.agent_name)

    def page_context(self, request: HttpRequest, row: AgentOverride) -> Mapping[str, Any]:
        """The revisions, each with what it changed."""
        found = selectors.list_revisions(organization_id=row.organization_id, override_id=row.pk)
        kept = [(revision, revision.values) for revision in found[: KEPT + 1]]
        return {"history": list(history(kept)), "history_of": "Revision"}

    @list_form_button("New override", OverrideForm, icon="add")
    def create_override(self, request: HttpRequest, agent_name: str, **values: Any) -> None:
        """Override the agent of a name."""
        overrides.create_override(agent_name=agent_name, values=values, **self._who(request))

    @confirmed(
        "Enable agent",
        "The agent runs again, and takes what waits for it.",
        available=lambda override: not override.enabled,
    )
    def enable(self, request: HttpRequest, override: AgentOverride) -> None:
        """Let it work."""
        self._switch(request, override, enabled=True)

    @confirmed(
        "Disable agent",
        "Nothing runs under this name, whichever door it comes through; what runs now stops before"
        " its next turn, and its tasks wait.",
        available=lambda override: override.enabled,
    )
    def disable(self, request: HttpRequest, override: AgentOverride) -> None:
        """Let it do nothing."""
        self._switch(request, override, enabled=False)

    @form_button("Change", ValuesForm, icon="tune")
    def change_override(self, request: HttpRequest, override: AgentOverride, **values: Any) -> None:
        """Change what it says."""
        overrides.update_override(override_id=override.pk, values=values, **self._who(request))

    @form_button(
        "Roll back",
        RevisionForm,
        available=lambda override: override.record_version > 1,
        icon="history",
    )
    def roll_back(self, request: HttpRequest, override: AgentOverride, number: int) -> None:
        """Let it say again what it said before."""
        overrides.roll_back_override(override_id=override.pk, number=number, **self._who(request))

    @confirmed("Delete override", "The agent's own configuration counts again.")
    def delete_override(self, request: HttpRequest, override: AgentOverride) -> None:
        """Let it say nothing."""
        who = self._who(request)
        self.attempt(request, overrides.delete_override, override_id=override.pk, **who)

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the list, if there is nothing to go back to."""
        is_there = self.get_queryset(request).filter(pk=object_id).exists()
        return super().back(request, object_id) if is_there else self.back_to_list(request)

    def _switch(self, request: HttpRequest, override: AgentOverride, *, enabled: bool) -> None:
        self.attempt(
            request,
            overrides.update_override,
            override_id=override.pk,
            values={"enabled": enabled},
            **self._who(request),
        )

    def _who(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "organization_id": request.user.organization_id,  # type: ignore[union-attr]  # logged in
            "user_id": request.user.pk,
            "actor": self.actor(request),
            "now": clock.now(),
        }
