"""Console pages of agents and executions."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agents import selectors
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import registry
from agents.runtime.providers import DEMO, PROVIDERS
from kernel import clock, display
from kernel.admin import (
    ConsoleAdmin,
    column,
    confirmed,
    exact_time,
    money_column,
    recent_values,
    status_column,
    time_column,
)

VERSIONS: Final = 20


def _provider(version: AgentVersion | None) -> str:
    if version is None:
        return display.NOTHING
    if version.llm_provider == DEMO:
        return "Demo (offline)"
    known = PROVIDERS.get(version.llm_provider)
    return known.label if known else version.llm_provider


@admin.register(Agent)
class AgentAdmin(ConsoleAdmin):
    """The registry of agents."""

    view_permission = "agent.read"
    audited_as = ("agent", "name")
    edit_permission = "agent.run"
    api_path = "/api/v1/agents"
    list_display: ClassVar = (
        "name",
        status_column(),
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
    actions_detail: ClassVar = ("start_agent", "stop_agent")
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
        """Agents that are not deleted, with their version."""
        return (
            super().get_queryset(request).filter(deleted_at=None).select_related("current_version")
        )

    def page_context(self, request: HttpRequest, row: Agent) -> Mapping[str, Any]:
        """The versions, each with what it changed."""
        versions = selectors.list_versions(organization_id=row.organization_id, agent_id=row.pk)
        return {"history": list(_history(versions[: VERSIONS + 1]))}

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


@admin.register(AgentExecution)
class AgentExecutionAdmin(ConsoleAdmin):
    """What happened in each run."""

    view_permission = "execution.read"
    page_title = "Executions"
    api_path = "/api/v1/executions"
    linked_filters: ClassVar = ("agent", "task_id")
    list_display: ClassVar = (
        "agent_name",
        status_column(),
        column("task", lambda run: run.task_id, lambda pk: display.page_link("tasks_task", pk)),
        "tool_calls",
        column("tokens", lambda run: f"{run.input_tokens:,} + {run.output_tokens:,}"),
        money_column(),
        column("duration", lambda run: run.duration_ms / 1000, display.duration),
        time_column("created_at", "began"),
        "short_id",
    )
    list_filter: ClassVar = ("status", "source", "created_at")
    search_fields: ClassVar = ("agent_name",)
    search_help_text = "A part of the agent's name, or an id"
    change_form_outer_before_template = "console/execution.html"
    fields: ClassVar = (
        column("asked", lambda run: run.input, display.text_block),
        "source",
        exact_time("created_at"),
        exact_time("finished_at"),
        "whole_id",
        "api_link",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentExecution]:
        """Executions with their versions."""
        return super().get_queryset(request).select_related("version")

    def page_context(self, request: HttpRequest, row: AgentExecution) -> Mapping[str, Any]:
        """The run's steps."""
        steps = selectors.list_steps(organization_id=row.organization_id, execution_id=row.pk)
        return {"steps": steps}


def _history(newest: Iterable[AgentVersion]) -> Iterator[Mapping[str, Any]]:
    """Each version with the fields it changed; the first, which had nothing before it, with all."""
    versions = list(newest)
    for version, older in zip_longest(versions[:VERSIONS], versions[1:]):
        before = older.configuration() if older else {}
        changes = [
            {"field": name, "before": _shown(before.get(name)), "after": _shown(value)}
            for name, value in version.configuration().items()
            if older is None or before[name] != value
        ]
        yield {"version": version, "older": older, "changes": changes}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return display.structure(value) if value else ""
    return "" if value is None else str(value)
