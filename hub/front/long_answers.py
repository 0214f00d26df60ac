"""What streams and exports share: answers that the front gives itself and over some time."""

import secrets
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import MethodNotAllowed
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive

from kernel.http import problems
from kernel.http.middleware import GOOD_ID


def request_id_of(request: HTTPConnection) -> str:
    """The client's own if it is a good one, else one of ours."""
    offered = request.headers.get("x-request-id", "")
    return offered if GOOD_ID.fullmatch(offered) else secrets.token_hex(16)


def bearer_header(request: Request) -> str:
    """What `callers.bearer_token` reads: the `Authorization` header, or an `X-API-Key` as one."""
    key = request.headers.get("x-api-key", "")
    return request.headers.get("authorization", f"Bearer {key}" if key else "")


def host_of(connection: HTTPConnection) -> str:
    """The host that the client asked for, with its port; empty if it is none of the hub's.

    The front answers before Django looks at it, and a `Host` of the client's own proves nothing.
    """
    host = connection.headers.get("host", "")
    domain, _ = split_domain_port(host)
    return host if domain and validate_host(domain, settings.ALLOWED_HOSTS) else ""


def problem(refusal: Exception, request_id: str, more: Mapping[str, str]) -> Response:
    """The document of a refusal before the first byte; `more` are headers."""
    status, headers, body = problems.render(refusal, request_id=request_id)
    if isinstance(refusal, MethodNotAllowed):
        headers["Allow"] = "GET"
    return Response(body, status, {**headers, **more, "X-Request-ID": request_id})


async def until_gone(receive: Receive) -> None:
    """Until the client hangs up."""
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
