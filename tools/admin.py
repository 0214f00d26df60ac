"""The console's tool sources, and the catalogue with its policies."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from kernel import display
from kernel.admin import ConsoleAdmin, confirmed, names_of
from kernel.admin_columns import column, exact_time, recent_values, time_column
from kernel.admin_forms import (
    NUMBER,
    SELECT,
    TEXTS,
    DialogForm,
    form_button,
    list_form_button,
    text,
)
from preferences.choices import EDIT
from tools import choices, selectors
from tools.choices import SideEffect, SourceKind
from tools.models import CatalogTool, ToolSource
from tools.operations import policies, sources
from tools.operations.reaching import PLACEHOLDER

DECLARED: Final = "declared"
YES_NO: Final = [(DECLARED, "As declared"), ("yes", "Yes"), ("no", "No")]


def _lines(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        label=label, required=False, widget=TEXTS(attrs={"rows": 3}), help_text=help_text
    )


def _list(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if line.strip()]


class SourceForm(DialogForm):
    """What a person says of a source."""

    url = text(
        "Address",
        length=2_000,
        required=False,
        help_text="Of the MCP endpoint, the OpenAPI document or the service.",
    )
    command = text("Command", length=64, required=False, help_text="Its name in HUB_MCP_COMMANDS.")
    server_url = text(
        "Server", length=2_000, required=False, help_text="Instead of what the document says."
    )
    headers = _lines("Headers", "One a line, such as Authorization: Bearer {secret:name}.")
    include = _lines("Only these tools", "Names or patterns, one a line; empty for all.")
    exclude = _lines("Not these tools", "The same.")
    refresh_seconds = forms.IntegerField(
        label="Seconds between refreshes",
        initial=choices.REFRESH_SECONDS,
        min_value=choices.LEAST_REFRESH_SECONDS,
        max_value=choices.MOST_REFRESH_SECONDS,
        widget=NUMBER(),
    )

    def prepare(self) -> None:
        """A source that is there has an address."""
        if self.object_id is None:
            return
        source = selectors.get_source(
            organization_id=self.request.user.organization_id, source_id=UUID(str(self.object_id))
        )
        shown = {
            "headers": "\n".join(f"{name}: {value}" for name, value in source.headers.items()),
            "include": "\n".join(source.include),
            "exclude": "\n".join(source.exclude),
        }
        for name in self.fields:
            self.fields[name].initial = shown.get(name, getattr(source, name, None))

    def clean_headers(self) -> dict[str, str]:
        """Names and values."""
        pairs = [line.partition(":") for line in _list(self.cleaned_data["headers"])]
        if not all(colon for _, colon, _ in pairs):
            raise forms.ValidationError("Write each as name: value.")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def clean_include(self) -> list[str]:
        """Patterns."""
        return _list(self.cleaned_data["include"])

    def clean_exclude(self) -> list[str]:
        """Patterns."""
        return _list(self.cleaned_data["exclude"])


class NewSourceForm(SourceForm):
    """A new source."""

    name = text("Name", length=40, help_text="The first part of its tools' names.")
    kind = forms.ChoiceField(label="Kind", choices=SourceKind.choices, widget=SELECT())
    field_order: ClassVar = ["name", "kind"]


class PolicyForm(DialogForm):
    """The policy of a tool."""

    side_effect = forms.ChoiceField(
        label="Side effect",
        choices=[(DECLARED, "As declared"), *SideEffect.choices],
        widget=SELECT(),
    )
    is_idempotent = forms.ChoiceField(
        label="A call may be repeated", choices=YES_NO, widget=SELECT()
    )
    needs_approval = forms.ChoiceField(
        label="A person approves each call", choices=YES_NO[1:], widget=SELECT()
    )
    timeout_seconds = forms.IntegerField(
        label="Seconds for a call",
        min_value=1,
        max_value=choices.MOST_TIMEOUT_SECONDS,
        widget=NUMBER(),
    )
    output_limit_bytes = forms.IntegerField(
        label="Bytes of its output for the model",
        min_value=100,
        max_value=choices.MOST_OUTPUT_BYTES,
        widget=NUMBER(),
    )

    def prepare(self) -> None:
        """As it is."""
        tool = selectors.get_tool(
            organization_id=self.request.user.organization_id, tool_id=UUID(str(self.object_id))
        )
        words = {None: DECLARED, True: "yes", False: "no"}
        shown: Mapping[str, Any] = {
            "side_effect": tool.side_effect or DECLARED,
            "is_idempotent": words[tool.is_idempotent],
            "needs_approval": words[tool.needs_approval],
            "timeout_seconds": tool.timeout_seconds,
            "output_limit_bytes": tool.output_limit_bytes,
        }
        for name, value in shown.items():
            self.fields[name].initial = value

    def values(self) -> dict[str, Any]:
        """In the operation's terms."""
        found = super().values()
        meant = {DECLARED: None, "yes": True, "no": False}
        return {name: meant.get(value, value) for name, value in found.items()}


def _state(source: ToolSource) -> str:
    if not source.is_enabled:
        return display.status("offline", "Disabled")
    if source.is_stale:
        return display.status("failed", "Stale")
    if source.last_refreshed_at is None:
        return display.status("pending", "Not asked yet")
    return display.status("completed", "Answers")


def _said(tool: CatalogTool) -> str:
    repeated = "may be repeated" if tool.said_idempotent else "may not be repeated"
    return f"{SideEffect(tool.said_side_effect).label}, {repeated}"


def _headers(headers: Mapping[str, str]) -> str:
    """Their names, and of what secrets are in them the names; values are shown nowhere."""
    shown = []
    for name, value in headers.items():
        secrets = ", ".join(PLACEHOLDER.findall(value))
        shown.append(f"{name} (secret {secrets})" if secrets else name)
    return display.words(shown)


def _tools_link(source_id: UUID) -> str:
    address = reverse("admin:tools_catalogtool_changelist", query={"source": source_id})
    return format_html('<a class="text-link" href="{}">Its tools</a>', address)


def _rule_link(tool: CatalogTool) -> str:
    names: Mapping[tuple[str, str], str] = getattr(tool, "names", {})
    rule_id = tool.approval_rule_id
    name = names.get(("approval_rule", str(rule_id)), "")
    return display.page_link("approvals_approvalrule", rule_id, name)


@admin.register(ToolSource)
class ToolSourceAdmin(ConsoleAdmin):
    """Where tools come from."""

    page_title = "Tool sources"
    view_permission = EDIT
    edit_permission = EDIT
    api_path = "/api/v1/tool-sources"
    audited_as: ClassVar = ("tool_source", "name")
    list_display: ClassVar = (
        "name",
        "kind",
        column("state", lambda source: source, _state),
        time_column("last_refreshed_at", "last answer"),
        column("error", lambda source: source.last_error[:120]),
    )
    search_fields: ClassVar = ("name",)
    list_filter: ClassVar = ("kind", "is_stale")
    ordering: ClassVar = ("name", "pk")
    fields: ClassVar = (
        "name",
        "kind",
        column("state", lambda source: source, _state),
        "url",
        "command",
        "server_url",
        column("headers", lambda source: source.headers, _headers),
        "include",
        "exclude",
        "refresh_seconds",
        "protocol",
        "last_error",
        column("left out", lambda source: source.left_out, display.structure_block),
        column("tools", lambda source: source.pk, _tools_link),
        exact_time("last_refreshed_at"),
        exact_time("next_refresh_at"),
        "api_link",
        "whole_id",
    )
    actions_list: ClassVar = ("create_source",)
    actions_detail: ClassVar = (
        "refresh_source",
        "change_source",
        "enable_source",
        "disable_source",
        "delete_source",
    )

    @list_form_button("New source", NewSourceForm, icon="add")
    def create_source(self, request: HttpRequest, **values: Any) -> None:
        """Add one."""
        sources.create_source(values=values, **self.who(request))

    @form_button("Change", SourceForm, icon="tune")
    def change_source(self, request: HttpRequest, source: ToolSource, **values: Any) -> None:
        """Give it another address, headers or patterns."""
        sources.update_source(source_id=source.pk, values=values, **self.who(request))

    @confirmed(
        "Refresh", "A worker asks it for its tools now.", available=lambda source: source.is_enabled
    )
    def refresh_source(self, request: HttpRequest, source: ToolSource) -> None:
        """Ask it now."""
        self.attempt(request, sources.ask_again, source_id=source.pk, **self.who(request))

    @confirmed(
        "Enable", "Agents can use its tools again.", available=lambda source: not source.is_enabled
    )
    def enable_source(self, request: HttpRequest, source: ToolSource) -> None:
        """Switch it on."""
        self._switch(request, source, is_enabled=True)

    @confirmed("Disable", "No agent can use its tools.", available=lambda source: source.is_enabled)
    def disable_source(self, request: HttpRequest, source: ToolSource) -> None:
        """Switch it off."""
        self._switch(request, source, is_enabled=False)

    @confirmed("Delete", "Its tools and their policies go with it.")
    def delete_source(self, request: HttpRequest, source: ToolSource) -> None:
        """Remove it."""
        self.attempt(request, sources.delete_source, source_id=source.pk, **self.who(request))

    def _switch(self, request: HttpRequest, source: ToolSource, *, is_enabled: bool) -> None:
        self.attempt(
            request,
            sources.update_source,
            source_id=source.pk,
            values={"is_enabled": is_enabled},
            **self.who(request),
        )


@admin.register(CatalogTool)
class CatalogToolAdmin(ConsoleAdmin):
    """What agents can be given."""

    page_title = "Tools"
    view_permission = "tool.read"
    edit_permission = EDIT
    api_path = "/api/v1/tools"
    audited_as: ClassVar = ("tool", "tool_name")
    list_display: ClassVar = (
        "tool_name",
        column("does", lambda tool: tool.description[:120]),
        column("side effect", lambda tool: SideEffect(tool.effective_side_effect).label),
        "needs_approval",
        "is_enabled",
        "is_stale",
    )
    search_fields: ClassVar = ("tool_name", "description")
    list_filter: ClassVar = (recent_values("service_name"), "is_enabled")
    linked_filters: ClassVar = ("source",)
    ordering: ClassVar = ("tool_name", "pk")
    fields: ClassVar = (
        "tool_name",
        "service_name",
        "description",
        column("parameters", lambda tool: tool.parameters, display.structure),
        "is_enabled",
        column("side effect", lambda tool: SideEffect(tool.effective_side_effect).label),
        column("may be repeated", lambda tool: "Yes" if tool.effective_idempotent else "No"),
        column("its source says", _said),
        "needs_approval",
        column("approval rule", lambda tool: tool, _rule_link),
        column("roles", lambda tool: ", ".join(tool.effective_roles) or "Anybody"),
        column("agents", lambda tool: ", ".join(map(str, tool.allowed_agents)) or "All"),
        "timeout_seconds",
        "output_limit_bytes",
        "is_stale",
        column("waits for its source", lambda tool: "Yes" if tool.awaits_refresh else "No"),
        exact_time("last_refreshed_at"),
        "api_link",
        "whole_id",
    )
    actions_detail: ClassVar = ("change_policy", "enable_tool", "disable_tool")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those that are there."""
        rows = super().get_queryset(request).filter(removed_at=None)
        return rows.select_related("source").defer("source__document")

    def page_context(self, request: HttpRequest, row: CatalogTool) -> Mapping[str, Any]:
        """The rule that it names is called by its name."""
        if row.approval_rule_id:
            wanted = {"approval_rule": [row.approval_rule_id]}
            row.names = names_of(request, wanted)  # type: ignore[attr-defined]  # read by `_rule_link`
        return {}

    @form_button("Change policy", PolicyForm, icon="policy")
    def change_policy(self, request: HttpRequest, tool: CatalogTool, **values: Any) -> None:
        """Decide about its calls."""
        policies.set_policy(tool_id=tool.pk, values=values, **self.who(request))

    @confirmed(
        "Enable", "Agents that name it can use it.", available=lambda tool: not tool.is_enabled
    )
    def enable_tool(self, request: HttpRequest, tool: CatalogTool) -> None:
        """Switch it on."""
        self._switch(request, tool, is_enabled=True)

    @confirmed("Disable", "No agent can use it.", available=lambda tool: tool.is_enabled)
    def disable_tool(self, request: HttpRequest, tool: CatalogTool) -> None:
        """Switch it off."""
        self._switch(request, tool, is_enabled=False)

    def _switch(self, request: HttpRequest, tool: CatalogTool, *, is_enabled: bool) -> None:
        self.attempt(
            request,
            policies.set_policy,
            tool_id=tool.pk,
            values={"is_enabled": is_enabled},
            **self.who(request),
        )
