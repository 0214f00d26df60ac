"""The console's page of dead letters."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dead_letters import selectors
from dead_letters.choices import REDRIVE_CAP, LetterStatus
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed, names_of
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import DialogForm, form_button, list_form_button
from preferences.choices import EDIT

SHORT: Final = 120
ALL: Final = "all"
LIST: Final = "admin:dead_letters_deadletter_changelist"


def _is_open(letter: DeadLetter) -> bool:
    return letter.status == LetterStatus.OPEN


def _task_link(letter: DeadLetter) -> Any:
    return display.page_link("tasks_task", letter.task_id, letter.task.title)


def _word(status: LetterStatus) -> str:
    """As the button says it: who presses "Retry" has not "redriven" anything."""
    return "Retried" if status == LetterStatus.REDRIVEN else status.label


def _status(letter: DeadLetter) -> str:
    return display.status(letter.status, _word(LetterStatus(letter.status)))


def _error(letter: DeadLetter) -> SafeString:
    """What kind it was, and how it begins."""
    said = letter.last_error
    cut = said if len(said) <= SHORT else f"{said[:SHORT]}…"
    kind = letter.error_type.replace("_", " ") or "failed"
    return format_html('<span class="hub-said"><b>{}</b> {}</span>', kind, cut)


def _alike(letter: DeadLetter) -> SafeString:
    address = reverse(LIST, query={"group": letter.group})
    return format_html('<a class="text-link" href="{}">alike</a>', address)


def _redriver(letter: DeadLetter) -> str:
    """Who put it back to work, by name where the reader may know it."""
    kind, _, pk = letter.redriven_by.partition(":")
    names: Mapping[tuple[str, str], str] = getattr(letter, "names", {})
    return names.get((kind, pk), "") or kind.replace("_", " ") or display.NOTHING


def _how_many(count: int, words: str) -> str:
    """What "all" is: `redrive_letters` takes so many at a time."""
    if count > REDRIVE_CAP:
        return f"The {REDRIVE_CAP} of them that wait longest go back to work{words}"
    tasks = "One task goes" if count == 1 else f"{count} tasks go"
    return f"{tasks} back to work{words}" if count else "There is nothing to retry."


class AllForm(DialogForm):
    """How many it is about."""

    def render_before_template(self) -> str:
        """As many as are open now."""
        rows = selectors.list_letters(organization_id=self.request.user.organization_id)
        count = self.of(rows).order_by()[: REDRIVE_CAP + 1].count()
        said = _how_many(count, ", with all retries.")
        return format_html('<p class="hub-asked">{}</p>', said) + super().render_before_template()

    def of(self, rows: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """Those that are meant: all."""
        return rows


class GroupForm(AllForm):
    """The same for what failed alike."""

    def of(self, rows: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """Those of the group of the page's letter."""
        # Of any status: what `redrive_group` puts back goes by the group of such a letter too.
        own = DeadLetter.objects.filter(organization_id=self.request.user.organization_id)
        return rows.filter(group__in=own.filter(pk=self.object_id).values("group"))


class Standing(admin.SimpleListFilter):
    """What still waits, unless something else is asked for; a search looks at all."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What it can be asked for beside the open ones."""
        kept = (LetterStatus.REDRIVEN, LetterStatus.REMOVED)
        return [*((each.value, _word(each)) for each in kept), (ALL, "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The open ones first, in place of all."""
        for value, label in ((None, LetterStatus.OPEN.label), *self.lookup_choices):
            yield {
                "selected": self.value() == value,
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those that stand so."""
        asked = self.value() or (ALL if request.GET.get("q") else LetterStatus.OPEN)
        return queryset if asked == ALL else queryset.filter(status=asked)


STATUS: Final = column("status", lambda letter: letter, _status)


@admin.register(DeadLetter)
class DeadLetterAdmin(ConsoleAdmin):
    """Tasks that failed for good."""

    page_title = "Dead letters"
    view_permission = EDIT
    edit_permission = EDIT
    list_display: ClassVar = (
        column("title", lambda letter: letter.task.title),
        STATUS,
        column("error", lambda letter: letter, _error),
        column("group", lambda letter: letter, _alike),
        "failures",
        column("retried", lambda letter: letter.redrive_count),
        time_column("last_failed_at", "failed"),
    )
    list_filter: ClassVar = (Standing, "priority")
    list_before_template = "console/dead_group.html"
    list_select_related: ClassVar = ("task",)
    linked_filters: ClassVar = ("group",)
    search_fields: ClassVar = ("task__title", "error_type", "group", "last_error")
    search_help_text = "A part of title or error, or a group"
    ordering: ClassVar = ("-last_failed_at", "-pk")
    fields: ClassVar = (
        column("task", _task_link),
        STATUS,
        column("kind", lambda letter: letter.error_type.replace("_", " ")),
        column("error", lambda letter: letter.last_error, display.text_block),
        column("group", lambda letter: letter, _alike),
        "reason",
        "failures",
        exact_time("first_failed_at"),
        exact_time("last_failed_at"),
        column("retried", lambda letter: letter.redrive_count),
        column("last retried by", lambda letter: letter, _redriver),
        column("last retried (UTC)", lambda letter: letter.redriven_at, display.exact),
        "whole_id",
    )
    actions: ClassVar = ("redrive_selected",)
    actions_list: ClassVar = ("redrive_all",)
    actions_detail: ClassVar = ("redrive", "redrive_group", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Letters with their tasks."""
        return super().get_queryset(request).select_related("task")

    def get_urls(self) -> list[URLPattern]:
        """The pages, and the one of what failed alike."""
        view = self.admin_site.admin_view(self.groups_view)
        return [path("groups/", view, name="dead_letters_deadletter_groups"), *super().get_urls()]

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        """The largest groups, each with its latest failure."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        organization_id: UUID = request.user.organization_id  # type: ignore[union-attr]  # logged in
        groups = selectors.list_groups(organization_id=organization_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Failed alike",
            "now": clock.now(),
            "groups": selectors.list_newest(organization_id=organization_id, groups=groups),
        }
        return TemplateResponse(request, "console/dead_groups.html", context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The list, below the group that was asked for."""
        asked = request.GET.get("group", "")
        open_ones = self.get_queryset(request).filter(group=asked, status=LetterStatus.OPEN)
        newest = open_ones.order_by(*self.ordering).first() if asked.isalnum() else None
        more = {"group": asked, "newest": newest}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def page_context(self, request: HttpRequest, row: DeadLetter) -> Mapping[str, Any]:
        """Who retried it last is named on its page."""
        kind, _, pk = row.redriven_by.partition(":")
        if pk:
            row.names = names_of(request, {kind: [UUID(pk)]})  # type: ignore[attr-defined]  # read by `_redriver`
        return {}

    @admin.action(description="Retry selected", permissions=["edit"])
    def redrive_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Put them back to work."""
        for letter in queryset:
            self._act(request, redrives.redrive_letter, letter)

    @list_form_button(
        "Retry all",
        AllForm,
        icon="replay",
    )
    def redrive_all(self, request: HttpRequest) -> None:
        """Put up to a hundred back to work."""
        self._redrive_some(request)

    @confirmed("Retry", "The task begins anew, with all its retries.", available=_is_open)
    def redrive(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Put it back to work."""
        self._act(request, redrives.redrive_letter, letter)

    @form_button("Retry the group", GroupForm, available=_is_open, icon="replay")
    def redrive_group(self, request: HttpRequest, letter: DeadLetter) -> HttpResponse:
        """Put up to a hundred that failed alike back to work."""
        self._redrive_some(request, group=letter.group)
        return self.back_to_list(request)

    @confirmed("Remove", "It leaves the list; its task stays failed.", available=_is_open)
    def remove(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Take it out of the list."""
        self._act(request, redrives.remove_letter, letter)

    def _redrive_some(self, request: HttpRequest, **filters: Any) -> None:
        done = redrives.redrive_letters(**filters, **self.who(request))
        tasks = "1 task is" if done.count == 1 else f"{done.count} tasks are"
        more = " There are more." if done.has_more else ""
        self.message_user(request, f"{tasks} back at work.{more}", messages.SUCCESS)

    def _act(self, request: HttpRequest, operation: Any, letter: DeadLetter) -> None:
        self.attempt(request, operation, task_id=letter.task_id, **self.who(request))
