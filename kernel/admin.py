"""Console bases: pages look by default and act only through operations."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from kernel.errors import DomainError

M = TypeVar("M", bound=Model)


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

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody who may enter the console may look."""
        return bool(request.user.is_active)


class ConsoleAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """The base of every console page."""

    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    list_filter_submit = False
    warn_unsaved_form = False
    ordering: ClassVar[Any] = ("-pk",)

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


class ConsoleInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """Rows of a lower table on a page, to look at."""

    extra = 0
    can_delete = False
