"""Console pages of tasks."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from kernel import clock
from kernel.admin import ConsoleAdmin, confirmed, labelled
from tasks import selectors
from tasks.models import Task
from tasks.operations import requests


@admin.register(Task)
class TaskAdmin(ConsoleAdmin):
    """Tasks; the page of one shows its timeline."""

    view_permission = "task.read"
    edit_permission = "task.edit"
    list_display: ClassVar = (
        "title",
        "shown_status",
        "priority",
        "agent",
        "retry_count",
        "cost_tokens",
        "cost_usd",
        "created_at",
    )
    list_filter: ClassVar = ("status", "priority")
    list_select_related: ClassVar = ("agent",)
    search_fields: ClassVar = ("title",)
    actions: ClassVar = ("cancel_tasks", "retry_tasks")
    actions_detail: ClassVar = ("cancel_task", "retry_task")
    change_form_after_template = "console/task_timeline.html"
    fieldsets: ClassVar = (
        (None, {"fields": ("title", "status", "priority", "agent", "result", "error")}),
        (
            "Asked",
            {"classes": ["tab"], "fields": ("description", "instructions", "required_tools")},
        ),
        (
            "Progress",
            {
                "classes": ["tab"],
                "fields": (
                    "retry_count",
                    "max_retries",
                    "attempt_count",
                    "deadline",
                    "available_at",
                    "lease_expires_at",
                    "started_at",
                    "completed_at",
                    "actual_duration_seconds",
                ),
            },
        ),
        (
            "Cost and data",
            {
                "classes": ["tab"],
                "fields": ("cost_tokens", "cost_usd", "metadata", "output_files", "assigned_by"),
            },
        ),
    )

    @labelled(
        "status",
        {"completed": "success", "failed": "danger", "in_progress": "info", "review": "warning"},
    )
    def shown_status(self, task: Task) -> str:
        """The status as a coloured word."""
        return task.status

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The page with the task's attempts and their steps under its fields."""
        timeline = (
            selectors.get_timeline(
                organization_id=request.user.organization_id,  # type: ignore[union-attr]
                task_id=UUID(object_id),
            )
            if object_id
            else []
        )
        context = {**(extra_context or {}), "runs": timeline}
        return super().changeform_view(request, object_id, form_url, context)

    @admin.action(description="Cancel selected tasks", permissions=["edit"])
    def cancel_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """End what has not ended."""
        self._each(request, requests.cancel_task, queryset.values_list("pk", flat=True))

    @admin.action(description="Retry selected tasks", permissions=["edit"])
    def retry_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Put failed ones back to work."""
        self._each(request, requests.retry_task, queryset.values_list("pk", flat=True))

    @confirmed("Cancel", "The task ends; a worker that runs it stops.")
    def cancel_task(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """End it."""
        self._each(request, requests.cancel_task, [object_id])
        return self.back(object_id)

    @confirmed("Retry", "The failed task goes back to work.")
    def retry_task(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Put it back to work."""
        self._each(request, requests.retry_task, [object_id])
        return self.back(object_id)

    def _each(self, request: HttpRequest, operation: Any, task_ids: Any) -> None:
        actor = self.actor(request)
        for task_id in task_ids:
            self.attempt(
                request,
                operation,
                organization_id=actor.organization_id,
                task_id=task_id,
                actor=actor,
                now=clock.now(),
            )
