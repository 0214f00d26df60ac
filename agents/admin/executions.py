"""Console pages of executions."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agents import selectors
from agents.models import AgentExecution
from kernel import display
from kernel.admin import (
    ConsoleAdmin,
    column,
    exact_time,
    money_column,
    status_column,
    time_column,
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
        """The run's steps, and the runs of the agents that it called."""
        children = selectors.list_children(organization_id=row.organization_id, execution_id=row.pk)
        steps = selectors.list_steps(organization_id=row.organization_id, execution_id=row.pk)
        return {"steps": steps, "children": children}
