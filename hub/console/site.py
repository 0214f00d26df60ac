"""The console's site object."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite

from accounts.models import User
from accounts.operations import sessions
from hub.console import overview
from kernel import clock
from kernel.admin import ConsoleAdmin


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """Opens for every active user; what a page allows is decided by named permissions."""

    index_template = "console/overview.html"
    index_title = "Overview"
    empty_value_display = "-"

    def register(self, models: Any, admin_class: Any = None, **options: Any) -> None:
        """Only pages on the console's base: Django's own would go round tenants and operations."""
        if admin_class is not None and issubclass(admin_class, ConsoleAdmin):
            super().register(models, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the caller may look at the console at all."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.organization.is_active

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The front page; what it shows is open to every role that reads tasks."""
        context: dict[str, Any] = {"now": clock.now(), **(extra_context or {})}
        if isinstance(request.user, User) and request.user.has_perm("task.read"):
            context["overview"] = overview.get_overview(
                organization_id=request.user.organization_id, now=context["now"]
            )
            context["shows_cost"] = request.user.has_perm("cost.read")
        response: HttpResponse = super().index(request, context)
        return response

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's login page; a successful login is audited as the API's is."""
        response: HttpResponse = super().login(request, extra_context)
        # A refused attempt of somebody who is logged in answers 200 with the form.
        is_done = request.method == "POST" and response.status_code == 302
        if is_done and isinstance(request.user, User):
            sessions.note_console_login(
                user=request.user,
                ip_address=request.META.get("REMOTE_ADDR") or None,
                request_id=getattr(request, "request_id", ""),
                now=clock.now(),
            )
        return response

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Closed: Django's form writes past operations and audit, and leaves sessions alive."""
        raise Http404

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Closed: the menu has every page, and unfold's search trips over a bad page number."""
        raise Http404
