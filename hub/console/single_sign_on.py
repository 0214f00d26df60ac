"""Logging in to the console with an identity provider: away to it, and back."""

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from hub.console import browsers
from kernel import clock
from kernel.errors import DomainError
from sso import selectors
from sso.operations import logins
from sso.operations.logins import GOOD_FOR, Answer

TEMPLATE: Final = "console/single_sign_on.html"
# Says that the browser that comes back is the one that was sent: else a stranger's answer, planted
# in a link, would log people in as the stranger.
COOKIE: Final = "hub-sso"
COOKIE_PATH: Final = "/sso/"
SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
LONGEST_AIM: Final = 2000


@dataclass(frozen=True, slots=True)
class Way:
    """A link to the provider."""

    label: str
    address: str


def find_button(request: HttpRequest) -> Way | None:
    """The button of the login page, if there is one. It asks nothing of the provider."""
    button = selectors.find_button()
    if button is None:
        return None
    aim = request.GET.get(REDIRECT_FIELD_NAME, "")
    query = f"?{urlencode({REDIRECT_FIELD_NAME: aim})}" if aim else ""
    return Way(button.label, reverse("sso_login", args=[button.slug]) + query)


@never_cache
@require_GET
def begin(request: HttpRequest, organization: str) -> HttpResponse:
    """Send the browser to the organization's provider."""
    kept = request.COOKIES.get(COOKIE, "")
    # Kept, so that logins begun in two tabs can both come back.
    browser = kept if SECRET.fullmatch(kept) else secrets.token_urlsafe(32)
    try:
        begun = logins.begin(
            organization=organization,
            browser=browser,
            aim=_aim(request),
            origin=browsers.origin(request),
            now=clock.now(),
        )
    except DomainError as refusal:
        return _refused(request, refusal)
    response = HttpResponseRedirect(begun.authorization_url)
    response.set_cookie(
        COOKIE,
        browser,
        max_age=GOOD_FOR,
        path=COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


@never_cache
@require_GET
def finish(request: HttpRequest) -> HttpResponse:
    """Where the provider sends the browser back."""
    state = request.GET.get("state", "")
    now = clock.now()
    if logins.is_of_a_program(state=state, now=now):
        return _page(request, "Almost done", _TO_PROGRAM)
    answer = Answer(
        state=state, code=request.GET.get("code", ""), issuer=request.GET.get("iss", "")
    )
    try:
        finished = logins.finish(
            answer=answer,
            browser=request.COOKIES.get(COOKIE, ""),
            origin=browsers.origin(request),
            now=now,
        )
    except DomainError as refusal:
        return _refused(request, refusal)
    response = browsers.admit(request, finished.opened, finished.aim)
    response.delete_cookie(COOKIE, path=COOKIE_PATH)
    return response


_TO_PROGRAM: Final = (
    "A program began this login. If you started it yourself, give it the address of this page; it"
    " cannot be used for anything else. If you did not, close this page."
)


def _aim(request: HttpRequest) -> str:
    aim = request.GET.get(REDIRECT_FIELD_NAME, "")[:LONGEST_AIM]
    is_ours = url_has_allowed_host_and_scheme(aim, {request.get_host()}, request.is_secure())
    return aim if is_ours and "\x00" not in aim else ""


def _refused(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    words = [str(field["message"]) for field in refusal.fields]
    response = _page(request, "You are not logged in", " ".join(words) or refusal.detail)
    response.status_code = refusal.status
    return response


def _page(request: HttpRequest, title: str, sentence: str) -> HttpResponse:
    site: Any = admin.site
    context = {**site.each_context(request), "title": title, "sentence": sentence}
    return TemplateResponse(request, TEMPLATE, context)
