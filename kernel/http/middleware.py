"""What every request passes through: an id, bounds, log context, and JSON errors for the API."""

import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from kernel import tenancy
from kernel.http import addresses, problems

log = structlog.get_logger(__name__)
GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
PROBES: Final = ("/healthz", "/ready", "/health", "/metrics", "/static/")
Handler = Callable[[HttpRequest], HttpResponse]


class RequestContext:
    """Gives each request an id (`X-Request-ID` in and out), its client's address and a log line,
    and refuses bodies over 10 MB."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-ID", "")
        # A foreign id is kept only if it cannot break a log line or a header.
        request_id = offered if GOOD_ID.fullmatch(offered) else secrets.token_hex(16)
        request.request_id = request_id  # type: ignore[attr-defined]
        peer = request.META.get("REMOTE_ADDR", "")
        if not addresses.is_proxy(peer):
            # Django would take a stranger's word that this came over TLS.
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        # From here on all read the client's address there: audit, sessions, limits, IP rules.
        request.META["REMOTE_ADDR"] = addresses.client_address(
            peer=peer,
            forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        )
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id), tenancy.request():
            response = self._bounded(request)
            write = log.debug if request.path.startswith(PROBES) else log.info
            write(
                "kernel.http.answered",
                method=request.method,
                path=request.path,  # never the query: it may hold a token
                status=response.status_code,
                duration_ms=round((time.monotonic() - started) * 1000),
            )
        response["X-Request-ID"] = request_id
        return response

    def _bounded(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return problems.answer(
                request,
                status=413,
                code="request.too_large",
                detail="The body is over 10 MB. Send less.",
            )
        return self.get_response(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - given by Django
    """Django's `handler400`: a host that is not served, too many parameters."""
    return problems.answer(
        request,
        status=400,
        code="request.malformed",
        detail="The request is malformed, or names a host that this hub does not serve.",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - given by Django
    """Django's `handler404`."""
    return problems.answer(
        request,
        status=404,
        code="route.not_found",
        detail="No such page or route. The API is described at /api/schema/swagger/.",
    )


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: says nothing of the cause; the log has it under the request id."""
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError | InterfaceError):
        # Pages ask the database outside of DRF; that it is away is no bug there either.
        status, headers, body = problems.render(
            error, request_id=getattr(request, "request_id", "")
        )
        return HttpResponse(body, status=status, headers=headers)
    return problems.answer(
        request,
        status=500,
        code="internal.error",
        detail="The hub failed. Give the request id to the operator.",
    )
