"""RFC 9457 problem documents: the one place where an error becomes an answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db.utils import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from kernel.errors import DomainError
from kernel.http.headers import CHALLENGE

log = structlog.get_logger(__name__)
MEDIA_TYPE: Final = "application/problem+json"
# Told each refusal for lack of rights: DRF's context and the problem document. `audit` adds to it.
DENIED: Final[list[Callable[[Mapping[str, Any], Mapping[str, Any]], None]]] = []

# What Django and DRF raise on their own: exception -> (status, code, title, sentence).
_FOREIGN: Final[tuple[tuple[type[Exception], int, str, str], ...]] = (
    (Http404, 404, "resource.not_found", "No such object. Check the id and your organization."),
    (PermissionDenied, 403, "permission.denied", "You are not allowed to do this."),
    (RecursionError, 400, "request.too_deep", "The body is nested too deeply."),
    (OperationalError, 503, "service.unavailable", "The database does not answer. Try again soon."),
    (
        InterfaceError,
        503,
        "service.unavailable",
        "The database does not answer. Try again soon.",
    ),
    (RequestDataTooBig, 413, "request.too_large", "The body is over 10 MB. Send less."),
    (UnreadablePostError, 400, "request.unreadable", "The body could not be read."),
    (exceptions.ParseError, 400, "request.malformed", ""),
    (exceptions.NotAuthenticated, 401, "auth.required", "Send `Authorization: Bearer <token>`."),
    (exceptions.AuthenticationFailed, 401, "auth.invalid", ""),
    (exceptions.PermissionDenied, 403, "permission.denied", "You are not allowed to do this."),
    (exceptions.NotFound, 404, "resource.not_found", "No such object or page."),
    (exceptions.MethodNotAllowed, 405, "request.method_not_allowed", ""),
    (exceptions.NotAcceptable, 406, "request.not_acceptable", "Only application/json is served."),
    (exceptions.UnsupportedMediaType, 415, "request.unsupported_media_type", ""),
    (exceptions.Throttled, 429, "rate.limited", ""),
)
TITLES: Final = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid values",
    423: "Locked",
    429: "Too many requests",
    500: "Internal error",
    502: "Bad gateway",
    503: "Unavailable",
}


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler. Returns None for bugs, which become a 500 that says nothing."""
    request = context["request"]
    document = _describe(error)
    if document is None:
        return None
    set_rollback()
    document["request_id"] = getattr(request, "request_id", "")
    response = Response(document, status=document["status"], content_type=MEDIA_TYPE)
    for header, value in _headers(error):
        response[header] = value
    if isinstance(error, DomainError):
        # A 5xx of ours says that somebody else does not answer: the request's own line is enough.
        response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - Django's mark
    if response.status_code == 403:
        for tell in DENIED:
            tell(context, document)
    return response


def answer(request: HttpRequest, *, status: int, code: str, detail: str) -> HttpResponse:
    """A problem for what fails outside of DRF (unknown routes, bugs)."""
    document = _document(status, code, detail)
    document["request_id"] = getattr(request, "request_id", "")
    return HttpResponse(orjson.dumps(document), status=status, content_type=MEDIA_TYPE)


def render(error: Exception, *, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a problem, for doors outside of Django; raises a bug again."""
    document = _describe(error)
    if document is None:
        raise error
    body = orjson.dumps({**document, "request_id": request_id})
    return document["status"], {"Content-Type": MEDIA_TYPE, **dict(_headers(error))}, body


def _describe(error: Exception) -> dict[str, Any] | None:
    if isinstance(error, DomainError):
        document = _document(error.status, error.code, error.detail)
        return {**document, **error.data, "errors": list(error.fields)}
    if isinstance(error, exceptions.ValidationError):
        document = _document(422, "validation.invalid", "")
        document["errors"] = list(_fields(error.get_full_details()))
        document["detail"] = "The request has invalid values. See `errors` for each field."
        return document
    for kind, status, code, sentence in _FOREIGN:
        if isinstance(error, kind):
            return _document(status, code, sentence or str(getattr(error, "detail", error)))
    return None


def _document(status: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"urn:agent-hub:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [],
    }


def _fields(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """DRF's nested `get_full_details` as flat `{field, message, type}` rows."""
    if isinstance(details, Mapping) and set(details) == {"message", "code"}:
        yield {"field": path or "body", "message": str(details["message"]), "type": details["code"]}
    elif isinstance(details, Mapping):
        for key, value in details.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _fields(value, f"{path}.{name}" if path and name else path or name)
    elif isinstance(details, Sequence) and not isinstance(details, str):
        leaves = all(isinstance(d, Mapping) and set(d) == {"message", "code"} for d in details)
        for index, value in enumerate(details):
            yield from _fields(value, path if leaves else f"{path}.{index}")


def _headers(error: Exception) -> Iterator[tuple[str, str]]:
    if isinstance(error, exceptions.APIException):
        if challenge := getattr(error, "auth_header", None):
            yield "WWW-Authenticate", challenge
        if (wait := getattr(error, "wait", None)) is not None:
            yield "Retry-After", str(max(1, int(wait)))
    if isinstance(error, DomainError) and error.status == 401:
        yield "WWW-Authenticate", getattr(error, "challenge", CHALLENGE)
    if isinstance(error, OperationalError | InterfaceError):
        yield "Retry-After", "2"
    if isinstance(error, DomainError) and "retry_after_seconds" in error.data:
        yield "Retry-After", str(error.data["retry_after_seconds"])
