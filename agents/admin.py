"""Console pages of agents and executions."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from agents import selectors
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import registry
from kernel import clock
from kernel.admin import ConsoleAdmin, ConsoleInline, confirmed, labelled


class VersionInline(ConsoleInline):
    """The agent's versions, newest first."""

    model = AgentVersion
    fk_name = "agent"
    fields = readonly_fields = (
        "number",
        "llm_provider",
        "llm_model",
        "temperature",
        "max_tokens",
        "enabled_tools",
        "created_by",
        "created_at",
    )
    ordering = ("-number",)
    per_page = 10


@admin.register(Agent)
class AgentAdmin(ConsoleAdmin):
    """The registry of agents."""

    view_permission = "agent.read"
    edit_permission = "agent.run"
    list_display: ClassVar = (
        "name",
        "shown_status",
        "provider",
        "model_name",
        "role",
        "tasks_completed",
        "tasks_failed",
        "total_cost_usd",
        "last_active_at",
    )
    list_filter: ClassVar = ("status", "role")
    list_select_related: ClassVar = ("current_version",)
    search_fields: ClassVar = ("name",)
    actions: ClassVar = ("start_agents", "stop_agents")
    actions_detail: ClassVar = ("start_agent", "stop_agent")
    inlines: ClassVar = (VersionInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """Agents that are not deleted."""
        return super().get_queryset(request).filter(deleted_at=None)

    @labelled("status", {"idle": "success", "busy": "info", "error": "danger"})
    def shown_status(self, agent: Agent) -> str:
        """The status as a coloured word."""
        return agent.status

    @admin.display(description="provider")
    def provider(self, agent: Agent) -> str:
        """Of the current version."""
        return agent.current_version.llm_provider if agent.current_version else ""

    @admin.display(description="model")
    def model_name(self, agent: Agent) -> str:
        """Of the current version; empty means the provider's default."""
        return agent.current_version.llm_model if agent.current_version else ""

    @admin.action(description="Start selected agents", permissions=["edit"])
    def start_agents(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Let them take tasks."""
        self._each(request, registry.start_agent, queryset.values_list("pk", flat=True))

    @admin.action(description="Stop selected agents", permissions=["edit"])
    def stop_agents(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Take them offline."""
        self._each(request, registry.stop_agent, queryset.values_list("pk", flat=True))

    @confirmed("Start", "The agent takes tasks again.")
    def start_agent(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Let it take tasks."""
        self._each(request, registry.start_agent, [object_id])
        return self.back(object_id)

    @confirmed("Stop", "Its running tasks go back to the queue and wait until it is started.")
    def stop_agent(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Take it offline."""
        self._each(request, registry.stop_agent, [object_id])
        return self.back(object_id)

    def _each(self, request: HttpRequest, operation: Any, agent_ids: Any) -> None:
        actor = self.actor(request)
        for agent_id in agent_ids:
            self.attempt(
                request,
                operation,
                organization_id=actor.organization_id,
                agent_id=agent_id,
                actor=actor,
                now=clock.now(),
            )


@admin.register(AgentExecution)
class AgentExecutionAdmin(ConsoleAdmin):
    """What happened in each run."""

    view_permission = "execution.read"
    list_display: ClassVar = (
        "created_at",
        "agent_name",
        "shown_status",
        "tool_calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "duration_ms",
    )
    list_filter: ClassVar = ("status", "source")
    search_fields: ClassVar = ("agent_name",)
    change_form_after_template = "console/execution_timeline.html"

    @labelled("status", {"success": "success", "error": "danger"})
    def shown_status(self, execution: AgentExecution) -> str:
        """The status as a coloured word."""
        return execution.status

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The page with the run's steps under its fields."""
        steps = (
            selectors.list_steps(
                organization_id=request.user.organization_id,  # type: ignore[union-attr]
                execution_id=UUID(object_id),
            )
            if object_id
            else []
        )
        context = {**(extra_context or {}), "runs": [{"steps": steps}]}
        return super().changeform_view(request, object_id, form_url, context)
