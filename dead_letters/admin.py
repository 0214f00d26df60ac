"""The console's page of dead letters."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from dead_letters.choices import LetterStatus
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from kernel import display
from kernel.admin import ConsoleAdmin, column, confirmed, exact_time, status_column, time_column
from kernel.admin_forms import DialogForm, list_form_button
from preferences.choices import EDIT


def _is_open(letter: DeadLetter) -> bool:
    return letter.status == LetterStatus.OPEN


def _task_link(letter: DeadLetter) -> Any:
    return display.page_link("tasks_task", letter.task_id, letter.task.title)


@admin.register(DeadLetter)
class DeadLetterAdmin(ConsoleAdmin):
    """Tasks that failed for good."""

    page_title = "Dead letters"
    view_permission = EDIT
    edit_permission = EDIT
    list_display: ClassVar = (
        column("title", lambda letter: letter.task.title),
        status_column(),
        status_column("priority"),
        "error_type",
        column("error", lambda letter: letter.last_error[:120]),
        column("alike", lambda letter: letter.group),
        "failures",
        "redrive_count",
        time_column("last_failed_at", "failed"),
    )
    list_filter: ClassVar = ("status", "priority")
    list_select_related: ClassVar = ("task",)
    linked_filters: ClassVar = ("group",)
    search_fields: ClassVar = ("task__title", "error_type", "group", "last_error")
    search_help_text = "A part of title or error, or a group"
    ordering: ClassVar = ("-last_failed_at", "-pk")
    fields: ClassVar = (
        column("task", _task_link),
        status_column(),
        "error_type",
        column("error", lambda letter: letter.last_error, display.text_block),
        "group",
        "reason",
        "failures",
        exact_time("first_failed_at"),
        exact_time("last_failed_at"),
        "redrive_count",
        "redriven_by",
        exact_time("redriven_at"),
        "whole_id",
    )
    actions: ClassVar = ("redrive_selected",)
    actions_list: ClassVar = ("redrive_all",)
    actions_detail: ClassVar = ("redrive", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Letters with their tasks."""
        return super().get_queryset(request).select_related("task")

    @admin.action(description="Retry selected", permissions=["edit"])
    def redrive_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Put them back to work."""
        for letter in queryset:
            self._act(request, redrives.redrive_letter, letter)

    @list_form_button(
        "Retry all",
        DialogForm,
        question="The hundred that wait longest go back to work, each with all its retries.",
        icon="replay",
    )
    def redrive_all(self, request: HttpRequest) -> HttpResponse | None:
        """Put up to a hundred back to work."""
        done = redrives.redrive_letters(**self.who(request))
        more = " There are more." if done.has_more else ""
        self.message_user(request, f"{done.count} tasks are back at work.{more}", messages.SUCCESS)
        return None

    @confirmed("Retry", "The task begins anew, with all its retries.", available=_is_open)
    def redrive(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Put it back to work."""
        self._act(request, redrives.redrive_letter, letter)

    @confirmed("Remove", "It leaves the list; its task stays failed.", available=_is_open)
    def remove(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Take it out of the list."""
        self._act(request, redrives.remove_letter, letter)

    def _act(self, request: HttpRequest, operation: Any, letter: DeadLetter) -> None:
        self.attempt(request, operation, task_id=letter.task_id, **self.who(request))
