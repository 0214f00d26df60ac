"""Console pages of executions."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from agents import selectors
from agents.choices import ExecutionStatus
from agents.models import AgentExecution
from agents.operations import forks
from agents.operations.forks import Fork
from kernel import clock, display
from kernel.admin import (
    ConsoleAdmin,
    column,
    exact_time,
    money_column,
    status_column,
    time_column,
)
from kernel.admin_forms import NUMBER, TEXTS, DialogForm, form_button

FORKS: Final = "A new task goes on after that step. Nothing up to it is done again, or paid again."


class ForkForm(DialogForm):
    """From which step, with which version, told what."""

    step = forms.IntegerField(
        label="Last step that is kept", min_value=1, max_value=2**31 - 1, widget=NUMBER()
    )
    version = forms.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text="Of the agent; left out, the one that is current when it runs.",
        widget=NUMBER(),
    )
    instructions = forms.CharField(
        label="What to tell the agent in addition",
        required=False,
        max_length=50_000,
        widget=TEXTS(attrs={"rows": 3}),
    )


@admin.register(AgentExecution)
class AgentExecutionAdmin(ConsoleAdmin):
    """What happened in each run."""

    view_permission = "execution.read"
    edit_permission = "agent.run"
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
    actions_detail: ClassVar = ("fork_execution",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentExecution]:
        """Executions with their versions."""
        return super().get_queryset(request).select_related("version")

    def page_context(self, request: HttpRequest, row: AgentExecution) -> Mapping[str, Any]:
        """The run's steps, and the runs of the agents that it called."""
        children = selectors.list_children(organization_id=row.organization_id, execution_id=row.pk)
        steps = selectors.list_steps(organization_id=row.organization_id, execution_id=row.pk)
        return {"steps": steps, "children": children}

    @form_button(
        "Fork",
        ForkForm,
        question=FORKS,
        icon="call_split",
        available=lambda run: run.status != ExecutionStatus.RUNNING,
    )
    def fork_execution(self, request: HttpRequest, run: AgentExecution, **asked: Any) -> Any:
        """Begin the task, and lead to it."""
        person: Any = request.user
        task_id: UUID = forks.fork_execution(
            organization_id=person.organization_id,
            execution_id=run.pk,
            fork=Fork(**asked),
            user_id=person.pk,
            actor=self.actor(request),
            now=clock.now(),
        )
        return self._go(request, reverse("admin:tasks_task_change", args=[task_id]))
