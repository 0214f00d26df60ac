"""Console bases: pages look by default and act only through operations."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, ParamSpec, TypeVar

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline
from unfold import decorators

from kernel.actors import Actor
from kernel.errors import DomainError

P = ParamSpec("P")
T = TypeVar("T")


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


class ConsoleAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """The base of every console page: the viewer's organization, newest rows first.

    `view_permission` opens the page (a page without one opens for nobody); `edit_permission`
    allows its actions, which name it as `permissions=["edit"]`.
    """

    view_permission: ClassVar[str] = ""
    edit_permission: ClassVar[str] = ""
    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    ordering: ClassVar[Any] = ("-created_at", "-pk")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the caller holds the page's permission."""
        return bool(self.view_permission) and request.user.has_perm(self.view_permission)

    def has_edit_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the caller may use the page's actions."""
        return bool(self.edit_permission) and request.user.has_perm(self.edit_permission)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows of the caller's organization and no other."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.filter(organization_id=request.user.organization_id)  # type: ignore[union-attr]

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

    def back(self, object_id: str) -> HttpResponse:
        """To the page of one object, after an action on it."""
        options = self.model._meta
        return redirect(f"admin:{options.app_label}_{options.model_name}_change", object_id)


class ConsoleInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """Rows of a lower table on a page, to look at."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the page sees its rows."""
        return True


def labelled(
    description: str, colours: Mapping[str, str]
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A list column shown as a coloured word; `colours` maps words to unfold's colour names."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        column: Callable[P, T] = decorators.display(function, description=description, label=colours)
        return column

    return decorate


def confirmed(
    description: str, question: str
) -> Callable[[Callable[P, HttpResponse]], Callable[P, HttpResponse]]:
    """A button on an object's page that asks `question` first and then posts.

    Never a plain link: a GET that changes state can be triggered by any page in the browser.
    """
    dialog = {"title": description, "description": question, "form_submit_text": description}

    def decorate(function: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
        button: Callable[P, HttpResponse] = decorators.action(
            function, description=description, permissions=["edit"], dialog=dialog
        )
        return button

    return decorate
