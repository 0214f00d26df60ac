"""Console pages of tasks."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, money_column, status_column, time_column
from kernel.admin_links import link
from tasks.choices import OPEN, ReasonCode, TaskStatus
from tasks.models import Task
from tasks.operations import requests
from tasks.selectors import tasks
from tasks.selectors.explanations import explain_task
from tasks.selectors.reasons import Reason
from tasks.serializers import CONSOLE_PAGES


def _may_retry(task: Task) -> bool:
    return task.status == TaskStatus.FAILED and task.retry_count < task.max_retries


def _why(request: HttpRequest, task: Task) -> Mapping[str, Any] | None:
    """What holds an open task, or what it does, each with a link to it for who may follow that."""
    if task.status not in OPEN:
        return None
    found = explain_task(task=task, now=clock.now())
    asked = [each for each in found.reasons if each.code == ReasonCode.WAITING_FOR_APPROVAL]
    # An approval says by itself what a person can do about the task.
    shown = asked or found.reasons
    return {
        "summary": found.summary,
        "reasons": [(reason, _blocker(request, reason)) for reason in shown],
    }


def _blocker(request: HttpRequest, reason: Reason) -> str:
    if reason.kind in {"task", "price"}:  # this one, and one that is not there yet
        return ""
    return str(link(request, CONSOLE_PAGES[reason.kind], reason.id, f"Open the {reason.kind}"))


@admin.register(Task)
class TaskAdmin(ConsoleAdmin):
    """Tasks; the page of one shows its timeline, and follows it while the task is open."""

    view_permission = "task.read"
    audited_as = ("task", "title")
    edit_permission = "task.edit"
    api_path = "/api/v1/tasks"
    linked_filters: ClassVar = ("agent",)
    list_display: ClassVar = (
        "title",
        status_column(),
        status_column("priority"),
        column("agent", lambda task: task.agent or display.NOTHING),
        "source",
        column("attempts", lambda task: task.attempt_count),
        column("tokens", lambda task: f"{task.cost_tokens:,}"),
        money_column(),
        column("duration", lambda task: task.actual_duration_seconds, display.duration),
        time_column("created_at", "created"),
        "short_id",
    )
    list_filter: ClassVar = ("status", "priority", "source", "created_at")
    list_select_related: ClassVar = ("agent",)
    search_fields: ClassVar = ("title",)
    search_help_text = "A part of the title, or an id"
    actions: ClassVar = ("cancel_tasks", "retry_tasks")
    actions_detail: ClassVar = ("cancel_task", "retry_task")
    change_form_outer_before_template = "console/task_page.html"
    fieldsets: ClassVar = (
        (
            "Asked",
            {
                "classes": ["tab"],
                "fields": (
                    column("description", lambda task: task.description, display.text_block),
                    column("instructions", lambda task: task.instructions, display.text_block),
                    column("required tools", lambda task: task.required_tools, display.words),
                    column(
                        "output schema", lambda task: task.output_schema, display.structure_block
                    ),
                    column("metadata", lambda task: task.metadata, display.structure_block),
                ),
            },
        ),
        (
            "Progress",
            {
                "classes": ["tab"],
                "fields": (
                    "retry_count",
                    "max_retries",
                    exact_time("deadline"),
                    exact_time("available_at"),
                    exact_time("lease_expires_at"),
                    exact_time("started_at"),
                    exact_time("completed_at"),
                    "progress_percent",
                ),
            },
        ),
        (
            "Identity",
            {
                "classes": ["tab"],
                "fields": (
                    "whole_id",
                    "api_link",
                    "source",
                    "assigned_by",
                    "conversation_id",
                    "parent_task",
                    column("output files", lambda task: task.output_files, display.structure_block),
                    exact_time("created_at"),
                    exact_time("updated_at"),
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """Tasks with their agents."""
        return super().get_queryset(request).select_related("agent")

    def get_urls(self) -> list[URLPattern]:
        """The pages, and the part of one that follows its task."""
        live = path(
            "<path:object_id>/live/",
            self.admin_site.admin_view(self.live_view),
            name="tasks_task_live",
        )
        return [live, *super().get_urls()]

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The task's state and timeline as a fragment of HTML."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        task = self.get_object(request, object_id)
        if task is None:
            raise Http404
        context = {"original": task, "now": clock.now(), **self.page_context(request, task)}
        return render(request, "console/task.html", context)

    def page_context(self, request: HttpRequest, row: Task) -> Mapping[str, Any]:
        """The task's attempts and their steps, and where to ask for them again."""
        return {
            "runs": tasks.get_timeline(organization_id=row.organization_id, task_id=row.pk),
            "is_open": row.status in OPEN,
            "why": _why(request, row),
            "live_url": reverse("admin:tasks_task_live", args=[row.pk]),
        }

    @admin.action(description="Cancel selected tasks", permissions=["edit"])
    def cancel_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """End what has not ended."""
        self._each(request, requests.cancel_task, queryset)

    @admin.action(description="Retry selected tasks", permissions=["edit"])
    def retry_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Put failed ones back to work."""
        self._each(request, requests.retry_task, queryset)

    @confirmed(
        "Cancel task",
        "The task ends; a worker that runs it stops.",
        available=lambda task: task.status in OPEN,
    )
    def cancel_task(self, request: HttpRequest, task: Task) -> None:
        """End it."""
        self._each(request, requests.cancel_task, [task])

    @confirmed("Retry task", "The failed task goes back to work.", available=_may_retry)
    def retry_task(self, request: HttpRequest, task: Task) -> None:
        """Put it back to work."""
        self._each(request, requests.retry_task, [task])

    def _each(self, request: HttpRequest, operation: Any, tasks: Any) -> None:
        actor = self.actor(request)
        for task in tasks:
            self.attempt(
                request,
                operation,
                organization_id=actor.organization_id,
                task_id=task.pk,
                actor=actor,
                now=clock.now(),
            )
