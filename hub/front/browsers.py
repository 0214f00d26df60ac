"""The console's browser at a door of the API: only where a page of this hub sends it."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.urls import reverse
from starlette.requests import Request
from starlette.responses import RedirectResponse

from accounts.errors import TokenRefused
from accounts.operations import console
from accounts.operations.callers import Caller
from accounts.selectors import network
from hub.console.browsers import SESSION
from hub.front import long_answers
from kernel.errors import DomainError

SAME: Final = "same-origin"


def cookie_of(request: Request) -> str:
    """The console's cookie on a request that a page of this hub sent, without any other token.

    Browsers send cookies along with whatever another site makes them ask for, too.
    """
    if "authorization" in request.headers or "x-api-key" in request.headers:
        return ""
    cookie = request.cookies.get(settings.SESSION_COOKIE_NAME, "")
    return cookie if cookie and _is_from_here(request) else ""


def identify(*, cookie: str, address: str, now: datetime) -> Caller:
    """Who is logged in to the console with it; raises TokenRefused or AddressRefused. Blocking."""
    try:
        session_id = UUID(SessionStore(cookie).get(SESSION, ""))
    except ValueError:
        raise TokenRefused from None
    session = console.see(session_id=session_id, ip_address=address or None, now=now)
    if session is None:
        raise TokenRefused
    rules: Any = session.rules  # type: ignore[attr-defined]  # read along
    return Caller(
        session.user,
        session_id=session.pk,
        mfa_at=session.mfa_at,
        rules=network.prepare(rules),
        rate_limit=network.per_minute(session.rate_limit),  # type: ignore[attr-defined]
    )


def lead_back(refusal: Exception, request_id: str) -> RedirectResponse:
    """To the page that asked; a problem document is for programs."""
    code = refusal.code if isinstance(refusal, DomainError) else ""
    address = f"{reverse('admin:audit_export')}?{urlencode({'refused': code})}"
    return RedirectResponse(address, 303, {"X-Request-ID": request_id, "Cache-Control": "no-store"})


def _is_from_here(request: Request) -> bool:
    host = long_answers.host_of(request)
    if not host:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == SAME
    # Browsers say it over HTTPS and on the machine itself only.
    sender = request.headers.get("origin") or request.headers.get("referer", "")
    return urlsplit(sender).netloc == host
