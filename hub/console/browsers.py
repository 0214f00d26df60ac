"""Whose browser this is: a row of ours behind Django's session, looked at with each page."""

from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.choices import SessionKind
from accounts.errors import AddressRefused
from accounts.models import Session
from accounts.operations import console
from accounts.operations.login import Awaited, Origin
from hub.console import refusals
from kernel import clock, tenancy

CONSOLE: Final = "/admin"
SESSION: Final = "session_id"
AWAITED: Final = "awaited_second_factor"


class Browsers(AuthenticationMiddleware):
    """Instead of Django's own: a browser is logged in as long as its `Session` is alive.

    `request.user` is somebody only on the console's pages; they may see their organization's rows.
    `request.console_session` is the row.
    """

    def process_request(self, request: HttpRequest) -> Any:
        """Also an answer: to a refused address, and to a session that must do one thing first."""
        request.user = AnonymousUser()
        request.console_session = None  # type: ignore[attr-defined]
        if not request.path.startswith(CONSOLE):
            return None
        try:
            session = _find(request)
        except AddressRefused as refusal:
            return refusals.page(
                request, status=refusal.status, title="Not allowed", sentence=refusal.detail
            )
        if session is None:
            return None
        request.user = session.user
        request.console_session = session  # type: ignore[attr-defined]
        tenancy.enter(session.organization_id)
        if session.restriction and not _is_way_out(request):
            return redirect("admin:account")
        return None


def enter(request: HttpRequest, session: Session) -> None:
    """Log the browser in: nothing of before stays, neither the key nor what was kept under it."""
    request.session.flush()
    request.session[SESSION] = str(session.pk)
    request.session.set_expiry(session.expires_at)
    rotate_token(request)


def admit(request: HttpRequest, found: Session | Awaited, aim: str) -> HttpResponse:
    """Where a login goes on: at `aim` if that is a page of the hub, or at the second step first."""
    if not url_has_allowed_host_and_scheme(aim, {request.get_host()}, request.is_secure()):
        aim = reverse("admin:index")
    if isinstance(found, Awaited):
        request.session.cycle_key()
        request.session[AWAITED] = found.temp_token
        address = reverse("admin:login_code")
        return redirect(f"{address}?{urlencode({REDIRECT_FIELD_NAME: aim})}")
    enter(request, found)
    return redirect(aim)


def origin(request: HttpRequest) -> Origin:
    """Where a login to the console comes from."""
    return Origin(
        kind=SessionKind.CONSOLE,
        ip_address=request.META.get("REMOTE_ADDR") or None,
        user_agent=request.headers.get("User-Agent", ""),
        request_id=getattr(request, "request_id", ""),
    )


def _find(request: HttpRequest) -> Session | None:
    with suppress(KeyError, ValueError):
        return console.see(
            session_id=UUID(request.session[SESSION]),
            ip_address=request.META.get("REMOTE_ADDR") or None,
            now=clock.now(),
        )
    return None


def _is_way_out(request: HttpRequest) -> bool:
    ways = (reverse("admin:account"), reverse("admin:logout"), reverse("admin:login"))
    return request.path.startswith(ways)
