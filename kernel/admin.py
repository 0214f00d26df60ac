"""Console bases: pages look by default and act only through operations."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final
from urllib.parse import unquote
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import Model, QuerySet, TextField, UUIDField, Value
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import capfirst
from unfold import decorators
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from kernel import clock, display
from kernel.actors import Actor
from kernel.errors import DomainError

# Searches look at so many of the newest rows: tables grow for ever.
SEARCHED: Final = 10_000
# How a link names its object, and how Django's filters ask for values and spans of time.
LINKED: Final = frozenset({"", "exact", "id__exact", "pk__exact"})
OFFERED: Final = LINKED | {"isnull", "gte", "lt", "lte", "gt", "in"}

Available = Callable[[Any], bool]


class ReadOnly:
    """No add, change or delete form: a form save would go round the operations and their audit."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never; actions create."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never; actions change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never; actions delete."""
        return False


class IndexedChangeList(ChangeList):  # type: ignore[misc]  # unfold ships no types
    """Rows in the page's own order alone: any other would sort the whole table."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The page's order; `?o=` is ignored."""
        ordering: list[Any] = self._get_deterministic_ordering(
            list(self.model_admin.get_ordering(request))
        )
        return ordering

    def get_results(self, request: HttpRequest) -> None:
        """The page's rows, with what the page reads along for all of them."""
        super().get_results(request)
        page: Any = self
        page.result_list = list(page.result_list)
        page.model_admin.read_along(request, page.result_list)


class ConsoleAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """The base of every console page: the viewer's organization, newest rows first, never counted.

    `view_permission` opens the page (a page without one opens for nobody); `edit_permission`
    allows its actions, which name it as `permissions=["edit"]`. `linked_filters` are fields by
    which other pages link to the list. `api_path` is where the REST API has the object.
    """

    view_permission: ClassVar[str] = ""
    edit_permission: ClassVar[str] = ""
    page_title: ClassVar[str] = ""
    api_path: ClassVar[str] = ""
    linked_filters: ClassVar[tuple[str, ...]] = ()
    # How the audit trail calls its objects, and the field with their name.
    audited_as: ClassVar[tuple[str, str]] = ("", "")
    paginator = InfinitePaginator
    list_per_page = 50
    list_max_show_all = 0
    list_disable_select_all = True
    list_fullwidth = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    compressed_fields = True
    sortable_by: ClassVar[Any] = ()
    ordering: ClassVar[Any] = ("-created_at", "-pk")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.audited_as[0]:
            AUDITED[self.audited_as[0]] = self

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the caller holds the page's permission."""
        return bool(self.view_permission) and request.user.has_perm(self.view_permission)

    def has_edit_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the caller may use the page's actions."""
        return bool(self.edit_permission) and request.user.has_perm(self.edit_permission)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows of the caller's organization and no other, with the rows that they name."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if self.list_select_related:
            rows = rows.select_related(*self.list_select_related)
        return rows.filter(organization_id=request.user.organization_id)  # type: ignore[union-attr]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """One row, with what the page reads along."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.read_along(request, [row])
        return row

    def read_along(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """What the columns show of other tables, for all rows at once: one query, or none."""

    def page_context(self, request: HttpRequest, row: Any) -> Mapping[str, Any]:
        """What the templates of one object's page show beside its fields."""
        return {}

    def actor(self, request: HttpRequest) -> Actor:
        """Who clicked, for operations and audit."""
        return Actor(
            type="user",
            id=str(request.user.pk),
            label=request.user.get_username(),
            organization_id=request.user.organization_id,  # type: ignore[union-attr]
            ip_address=request.META.get("REMOTE_ADDR") or None,
            request_id=getattr(request, "request_id", ""),
        )

    def who(self, request: HttpRequest) -> dict[str, Any]:
        """Whose rows, by whom and when: what every operation is told."""
        actor = self.actor(request)
        return {"organization_id": actor.organization_id, "actor": actor, "now": clock.now()}

    def attempt(
        self, request: HttpRequest, operation: Callable[..., Any], /, **arguments: Any
    ) -> bool:
        """Run one operation; a refusal becomes a message. True if it was done."""
        try:
            operation(**arguments)
        except DomainError as error:
            self.message_user(request, error.detail, messages.ERROR)
            return False
        return True

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what the offered filters and links ask; no field behind another.

        Else `?password__startswith=` or `?user__password__regex=` would spell a hash out.
        """
        name, _, how = lookup.partition("__")
        entries = (entry[0] if isinstance(entry, tuple) else entry for entry in self.list_filter)
        offered = {getattr(entry, "parameter_name", entry) for entry in entries}
        return (name in offered and how in OFFERED) or (
            name in self.linked_filters and how in LINKED
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A row by its id, however old; by its words among the newest ones."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if isinstance(self.opts.pk, UUIDField):
            with suppress(ValueError):
                return queryset.filter(pk=UUID(term)), False
        newest = queryset.order_by(*self.ordering)[:SEARCHED].values("pk")
        found: tuple[QuerySet[Any], bool] = super().get_search_results(
            request, queryset.filter(pk__in=newest), term
        )
        return found

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Lists keep to their index."""
        return IndexedChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The list. A NUL, which PostgreSQL refuses with an error, is a bad request."""
        if "\x00" in unquote(request.META.get("QUERY_STRING", "")):
            raise SuspiciousOperation("The address has a NUL character; remove it.")
        title = self.page_title or capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Run an action on the rows that were ticked; never on all pages at once."""
        for value in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(value)
            except ValidationError:
                raise SuspiciousOperation("The action names a row that cannot exist.") from None
        if request.POST.get("select_across", "0") not in {"", "0"}:
            self.message_user(request, "Select the rows of one page at a time.", messages.ERROR)
            return redirect(request.get_full_path())
        return super().response_action(request, queryset)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """One object's page; it was found in the caller's organization by now."""
        row = kwargs.get("obj")
        if row is not None:
            context["title"] = capfirst(self.opts.verbose_name)
            context["now"] = clock.now()
            context.update(self.page_context(request, row))
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that the caller may use and that the object's state allows."""
        buttons: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if buttons else None
        return [b for b in buttons if row is not None and b.method.available(row)]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is no such page, for nobody."""
        raise Http404

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """The same."""
        raise Http404

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the page of one object, after an action on it in a dialog."""
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return self._go(request, reverse(page, args=[object_id]))

    def back_to_list(self, request: HttpRequest) -> HttpResponse:
        """To the list, after an action that took the object away."""
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return self._go(request, reverse(page))

    def _go(self, request: HttpRequest, address: str) -> HttpResponse:
        if "HX-Request" in request.headers:
            # The dialog posts in the background, where a redirect would load into the dialog.
            return HttpResponse(headers={"HX-Redirect": address})
        return redirect(address)

    @admin.display(description="ID")
    def short_id(self, row: Any) -> str:
        """The id for lists."""
        return display.identifier(row.pk)

    @admin.display(description="ID")
    def whole_id(self, row: Any) -> str:
        """The id for pages."""
        return display.whole_identifier(row.pk)

    @admin.display(description="API")
    def api_link(self, row: Any) -> str:
        """Where the REST API has the object."""
        return display.api_address(f"{self.api_path}/{row.pk}/")


class ConsoleInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """Rows of a lower table on a page, to look at."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the page sees its rows."""
        return True


# The pages of what the audit trail names, by its word for them.
AUDITED: Final[dict[str, ConsoleAdmin]] = {}


def names_of(
    request: HttpRequest, wanted: Mapping[str, Collection[UUID]]
) -> dict[tuple[str, str], str]:
    """What objects are called whose page the caller may see, by kind and id; one query, or none."""
    parts = [
        _names_of(request, kind, pks)
        for kind, pks in sorted(wanted.items())
        if pks and kind in AUDITED and AUDITED[kind].has_view_permission(request)
    ]
    if not parts:
        return {}
    found = parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]
    return {(kind, str(pk)): name for kind, pk, name in found}


def _names_of(request: HttpRequest, kind: str, pks: Collection[UUID]) -> QuerySet[Any, Any]:
    page = AUDITED[kind]
    rows: Any = page.get_queryset(request).filter(pk__in=pks).order_by()
    named = rows.annotate(named_kind=Value(kind), named=Cast(page.audited_as[1], TextField()))
    found: QuerySet[Any, Any] = named.values_list("named_kind", "pk", "named")
    return found


def confirmed(
    description: str, question: str, *, available: Available = bool, permission: str = "edit"
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponse]]:
    """A button on an object's page that asks `question` first and then posts.

    `available` says in which states it is offered; the operation decides again. Never a plain
    link: a GET that changes state can be triggered by any page in the browser.
    """
    dialog = {"title": description, "description": question, "form_submit_text": description}

    def decorate(function: Callable[..., Any]) -> Callable[..., HttpResponse]:
        def act(
            page: ConsoleAdmin, request: HttpRequest, _form: Any, object_id: str
        ) -> HttpResponse:
            row: Model | None = page.get_object(request, object_id)
            if row is not None:
                function(page, request, row)
            return page.back(request, object_id)

        act.__name__ = function.__name__
        button: Callable[..., HttpResponse] = decorators.action(
            act, description=description, permissions=[permission], dialog=dialog
        )
        button.available = available  # type: ignore[attr-defined]  # read by get_actions_detail
        return button

    return decorate
