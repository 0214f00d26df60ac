"""The console's site object."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite

from accounts.models import User
from accounts.operations import sessions
from kernel import clock


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """Opens for every active user; what a page allows is decided by named permissions."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the caller may look at the console at all."""
        return request.user.is_active

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's login page; a successful login is audited as the API's is."""
        response: HttpResponse = super().login(request, extra_context)
        if request.method == "POST" and isinstance(request.user, User):
            sessions.note_console_login(
                user=request.user,
                ip_address=request.META.get("REMOTE_ADDR") or None,
                request_id=getattr(request, "request_id", ""),
                now=clock.now(),
            )
        return response
