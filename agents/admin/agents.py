"""The console's page of agents, with their versions."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import selectors
from agents.admin.history import KEPT, RollBackForm, history
from agents.models import Agent, AgentVersion
from agents.operations import overrides, registry, versions
from agents.runtime.providers import DEMO, PROVIDERS
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, money_column, recent_values, time_column
from kernel.admin_forms import form_button
from kernel.admin_links import lists_of
from preferences.choices import EDIT

# What belongs to an agent, and how its list is asked for it.
LISTS: Final = (
    ("Tasks", "tasks_task", "agent__id__exact"),
    ("Executions", "agents_agentexecution", "agent__id__exact"),
    ("Approvals", "approvals_approval", "agent_id"),
    ("Budgets", "cost_budget", "subject_id"),
    ("Usage", "cost_usagerecord", "agent_id"),
    ("Limits", "limits_limitrule", "name"),
)


class VersionForm(RollBackForm):
    """Which version of the agent."""

    def find(self, organization_id: UUID, object_id: UUID) -> QuerySet[Any]:
        """Its versions."""
        return selectors.list_versions(organization_id=organization_id, agent_id=object_id)


def _provider(version: AgentVersion | None) -> str:
    if version is None:
        return display.NOTHING
    if version.llm_provider == DEMO:
        return "Demo (offline)"
    known = PROVIDERS.get(version.llm_provider)
    return known.label if known else version.llm_provider


def _status(agent: Agent) -> SafeString:
    """What an override forbids goes before what the agent is doing."""
    if agent.disabled_by is not None:  # type: ignore[attr-defined]  # read along
        return display.status("disabled", "Disabled")
    return display.status(agent.status, agent.get_status_display())


def _is_disabled(agent: Any) -> bool:
    return agent.disabled_by is not None


@admin.register(Agent)
class AgentAdmin(ConsoleAdmin):
    """The registry of agents."""

    view_permission = "agent.read"
    audited_as = ("agent", "name")
    edit_permission = "agent.run"
    api_path = "/api/v1/agents"
    list_display: ClassVar = (
        "name",
        column("status", lambda agent: agent, _status),
        column("provider", lambda agent: agent.current_version, _provider),
        column("model", lambda a: (a.current_version and a.current_version.llm_model) or "default"),
        "role",
        column("completed", lambda agent: agent.tasks_completed),
        column("failed", lambda agent: agent.tasks_failed),
        money_column("total_cost_usd"),
        time_column("last_active_at", "last active"),
        "short_id",
    )
    list_filter: ClassVar = ("status", recent_values("role"))
    list_select_related: ClassVar = ("current_version",)
    search_fields: ClassVar = ("name",)
    search_help_text = "A part of the name, or an id"
    actions: ClassVar = ("start_agents", "stop_agents")
    actions_detail: ClassVar = (
        "start_agent",
        "stop_agent",
        "disable_agent",
        "enable_agent",
        "roll_back",
    )
    change_form_outer_before_template = "console/agent.html"
    change_form_outer_after_template = "console/agent_versions.html"
    fields: ClassVar = (
        "description",
        "kind",
        "role",
        "email",
        column("tags", lambda agent: agent.tags, display.words),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """Agents that are not deleted, with their version and what disables them."""
        alive: QuerySet[Agent] = super().get_queryset(request).filter(deleted_at=None)
        rows = alive.select_related("current_version")
        return rows.annotate(disabled_by=selectors.disabling_override())

    def has_steer_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the caller may override agents."""
        return request.user.has_perm(EDIT)

    def page_context(self, request: HttpRequest, row: Agent) -> Mapping[str, Any]:
        """The versions, each with what it changed, and what counts instead of the newest."""
        found = selectors.list_versions(organization_id=row.organization_id, agent_id=row.pk)
        kept = [(version, version.configuration()) for version in found[: KEPT + 1]]
        override = selectors.find_override(organization_id=row.organization_id, agent_name=row.name)
        return {
            "history": list(history(kept)),
            "override": override,
            "lists": lists_of(request, row.pk, LISTS),
            "status": _status(row),
        }

    @admin.action(description="Start selected agents", permissions=["edit"])
    def start_agents(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Let them take tasks."""
        self._each(request, registry.start_agent, queryset)

    @admin.action(description="Stop selected agents", permissions=["edit"])
    def stop_agents(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Take them offline."""
        self._each(request, registry.stop_agent, queryset)

    @confirmed(
        "Start agent", "The agent takes tasks again.", available=lambda agent: not agent.is_active
    )
    def start_agent(self, request: HttpRequest, agent: Agent) -> None:
        """Let it take tasks."""
        self._each(request, registry.start_agent, [agent])

    @confirmed(
        "Stop agent",
        "Its running tasks go back to the queue and wait until it is started.",
        available=lambda agent: agent.is_active,
    )
    def stop_agent(self, request: HttpRequest, agent: Agent) -> None:
        """Take it offline."""
        self._each(request, registry.stop_agent, [agent])

    @confirmed(
        "Disable agent",
        "An override lets it do nothing, whichever door it is asked through; what runs now stops"
        " before its next turn, and its tasks wait.",
        available=lambda agent: not _is_disabled(agent),
        permission="steer",
    )
    def disable_agent(self, request: HttpRequest, agent: Agent) -> None:
        """Let it do nothing."""
        self._switch(request, agent, enabled=False)

    @confirmed(
        "Enable agent",
        "The agent runs again, and takes what waits for it.",
        available=_is_disabled,
        permission="steer",
    )
    def enable_agent(self, request: HttpRequest, agent: Agent) -> None:
        """Let it work."""
        self._switch(request, agent, enabled=True)

    def _switch(self, request: HttpRequest, agent: Agent, *, enabled: bool) -> None:
        who = {**self.who(request), "user_id": request.user.pk, "values": {"enabled": enabled}}
        found = selectors.find_override(
            organization_id=agent.organization_id, agent_name=agent.name
        )
        if found is None:
            self.attempt(request, overrides.create_override, agent_name=agent.name, **who)
        else:
            self.attempt(request, overrides.update_override, override_id=found.pk, **who)

    @form_button(
        "Roll back",
        VersionForm,
        question="The agent gets a new version with the configuration of an earlier one. Runs that"
        " have begun keep theirs.",
        available=lambda agent: agent.current_version.number > 1,
        icon="history",
    )
    def roll_back(self, request: HttpRequest, agent: Agent, number: int) -> None:
        """Let an earlier configuration count again."""
        actor = self.actor(request)
        versions.roll_back_agent(
            organization_id=agent.organization_id,
            agent_id=agent.pk,
            number=number,
            actor=actor,
            now=clock.now(),
        )

    def _each(self, request: HttpRequest, operation: Any, agents: Any) -> None:
        actor = self.actor(request)
        for agent in agents:
            self.attempt(
                request,
                operation,
                organization_id=actor.organization_id,
                agent_id=agent.pk,
                actor=actor,
                now=clock.now(),
            )
