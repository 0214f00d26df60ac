"""Links between console pages, each for those alone who may open what it leads to."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.safestring import SafeString

from kernel import display
from kernel.admin import AUDITED

OFFERED: Final = 200


def may_open(request: HttpRequest, page: str) -> bool:
    """Whether the reader may open `<app>_<model>`; a hub without that page has nothing to open."""
    with suppress(NoReverseMatch):
        # Where Django says which page a view of the console belongs to.
        view: Any = resolve(reverse(f"admin:{page}_changelist")).func
        return bool(view.model_admin.has_view_permission(request))
    return False


def link(request: HttpRequest, page: str, object_id: object, text: str) -> SafeString | str:
    """A link to the page of an object; nothing for whoever may not open it, or without one."""
    if not object_id or not may_open(request, page):
        return ""
    return display.page_link(page, object_id, text)


def choices_of(request: HttpRequest, kind: str) -> list[tuple[str, str]]:
    """Ids and names of what the audit trail calls `kind`, for forms: at most 200, by name, and
    only for whoever may open their page."""
    page = AUDITED.get(kind)
    if page is None or not page.has_view_permission(request):
        return []
    name = page.audited_as[1]
    rows: Any = page.get_queryset(request).order_by(name, "pk")
    return [(str(pk), called) for pk, called in rows.values_list("pk", name)[:OFFERED]]


def lists_of(
    request: HttpRequest, object_id: object, lists: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    """The lists of what belongs to an object, as label and address: of `lists`, which are label,
    page and the list's filter by the object, those that the reader may open."""
    return [
        (label, reverse(f"admin:{page}_changelist", query={name: object_id}))
        for label, page, name in lists
        if may_open(request, page)
    ]
