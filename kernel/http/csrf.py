"""Django's CSRF check for views that its middleware passes over, as DRF's do."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _no_view() -> HttpResponse:
    """Django looks at a view only to see whether it is exempt."""
    return HttpResponse()


def is_forged(request: Request) -> bool:
    """Whether it writes and does not show that a page of this hub made it."""
    if request.method in SAFE_METHODS:
        return False
    check = _Check(lambda _: HttpResponse())
    asked = request._request  # noqa: SLF001 - the middleware wants Django's own
    check.process_request(asked)
    return bool(check.process_view(asked, _no_view, (), {}))
