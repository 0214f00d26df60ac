"""What a browser reads when a page of the console is refused; the API gets problem documents."""

import sys
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from kernel.http import agenthub, middleware, problems

CONSOLE: Final = "/admin/"
SEED_004: Final = "/v1/"
INSIDE: Final = "console/refused.html"
OUTSIDE: Final = "console/single_sign_on.html"
FAILED: Final = "console/failed.html"


def page(request: HttpRequest, *, status: int, title: str, sentence: str) -> HttpResponse:
    """A page with a way back: to the overview, or to the login for somebody who is not known."""
    site: Any = admin.site
    is_inside = hasattr(request, "user") and site.has_permission(request)
    context = {**site.each_context(request), "title": title, "sentence": sentence}
    template = INSIDE if is_inside else OUTSIDE
    return TemplateResponse(request, template, context, status=status).render()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler400`."""
    if not _is_page(request) or isinstance(exception, DisallowedHost):
        return middleware.bad_request(request, exception)
    sentence = "The address or what was sent with it is malformed. Begin again from a list."
    return page(request, status=400, title="Not understood", sentence=sentence)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - given by Django
    """Django's `handler403`."""
    if not _is_page(request):
        detail = "You are not allowed to do this."
        return problems.answer(request, status=403, code="permission.denied", detail=detail)
    sentence = "None of your roles opens this page. Ask an administrator if you need it."
    return page(request, status=403, title="Not allowed", sentence=sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`."""
    if request.path.startswith(SEED_004):
        return agenthub.no_route()
    if not _is_page(request):
        return middleware.not_found(request, exception)
    sentence = "There is no such page, or what it showed is gone. The menu has every page."
    return page(request, status=404, title="Not found", sentence=sentence)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - given by Django
    """Django's `CSRF_FAILURE_VIEW`: no page of this hub sent it, or one from before a login."""
    if not _is_page(request):
        detail = "The CSRF token is missing or wrong. Load the page again."
        return problems.answer(request, status=403, code="auth.csrf_refused", detail=detail)
    sentence = (
        "Nothing was done: the form came from an old page, or from one that is not this hub's."
        " Open its page again, and let the browser keep cookies of this hub."
    )
    return page(request, status=403, title="Send it again", sentence=sentence)


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: a page that needs neither a database nor a login."""
    if not _is_page(request):
        return middleware.failed(request)
    is_away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    context = {"is_away": is_away, "request_id": getattr(request, "request_id", "")}
    response = HttpResponse(render_to_string(FAILED, context), status=503 if is_away else 500)
    if is_away:
        response["Retry-After"] = "2"
    return response


def _is_page(request: HttpRequest) -> bool:
    return request.path.startswith(CONSOLE)
