"""`GET /api/v1/audit-events/export`: the audit chain as JSON lines; see docs/audit.md.

Here and not in Django: who reads slowly holds neither a thread nor a database connection.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from django.db import Error as DatabaseError
from rest_framework.exceptions import APIException, MethodNotAllowed
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from accounts.operations import callers
from accounts.operations.callers import Caller
from accounts.selectors import network
from audit import operations as audit
from audit.filters import SpanQuery
from audit.selectors.exports import Export
from hub.front import database, long_answers
from hub.front.callers import address_of, bearer_token
from kernel import clock, tenancy
from kernel.actors import Actor
from kernel.errors import DomainError, Forbidden, Unavailable

log = structlog.get_logger(__name__)
PERMISSION: Final = "audit.export"
# Each reads the database as fast as its client takes what it reads.
MOST: Final = 32
TRIES: Final = 5
PAUSE_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 2.0


class TooManyExports(DomainError):
    """The process has as many exports under way as it bears."""

    code = "audit.too_many_exports"
    status = 429
    message = "Too many exports are under way. Try again in a minute."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for an export says."""

    method: str
    token: str
    address: str
    request_id: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """An export that may go on as long as its caller may have it."""

    organization_id: UUID
    export: Export
    began_at: datetime


class AuditExports:
    """The ASGI application behind the route."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a problem document before the first byte, or send."""
        request = Request(scope)
        request_id = long_answers.request_id_of(request)
        try:
            asked = _read(request, request_id)
            begun = await self._begin(asked)
        except (DomainError, APIException) as refusal:
            await long_answers.problem(refusal, request_id)(scope, receive, send)
            return
        await send(_start(begun, request_id))
        await self._send_all(asked, begun.export, receive, send)

    def drain(self) -> None:
        """Break every export off: the server stops."""
        for work in self._running:
            work.cancel("hub.restarts")

    async def _begin(self, asked: Asked) -> Begun:
        if len(self._running) >= MOST:
            raise TooManyExports(data={"retry_after_seconds": 60})
        try:
            return await database.ask(_admit, asked, now=clock.now())
        except DatabaseError:
            raise Unavailable from None

    async def _send_all(self, asked: Asked, export: Export, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(_write_all(asked, export, send))
        gone = asyncio.create_task(long_answers.until_gone(receive))
        self._running.add(work)
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._running.discard(work)
            gone.cancel()
            work.cancel()
            (failure, _) = await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(failure, Exception):
            log.error("hub.front.export_failed", exc_info=failure)


async def _write_all(asked: Asked, export: Export, send: Send) -> None:
    code = "hub.failed"
    try:
        while not export.is_over:
            piece = await _next(asked, export)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        code = ""
    except DomainError as refusal:
        code = refusal.code
    except DatabaseError:
        code = Unavailable.code
    except asyncio.CancelledError as end:
        code = str(end.args[0]) if end.args else ""
        if not code:
            raise
    # Without this the end of a broken export would be told by its missing footer alone.
    last = orjson.dumps({"type": "interrupted", "code": code}) + b"\n" if code else b""
    # A client that does not read it is cut off by the server.
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await send({"type": "http.response.body", "body": last})


async def _next(asked: Asked, export: Export) -> bytes:
    """The next piece, for a caller who may still have it; a database that is away has a moment."""
    for _ in range(TRIES - 1):
        with suppress(DatabaseError):
            return await database.ask(_read_piece, asked, export, now=clock.now())
        await asyncio.sleep(PAUSE_SECONDS)
    return await database.ask(_read_piece, asked, export, now=clock.now())


def _read_piece(asked: Asked, export: Export, *, now: datetime) -> bytes:
    caller = _identify(asked, now)
    with tenancy.organization(caller.user.organization_id):
        return export.next()


def _admit(asked: Asked, *, now: datetime) -> Begun:
    """Refuses in the order of every route: 401, 405, 403, 422 (contract decisions, 1)."""
    try:
        caller = _identify(asked, now)
    except Forbidden as refusal:
        _record_denied(asked, refusal, now)
        raise
    query = SpanQuery(data=asked.query)
    query.is_valid(raise_exception=True)
    organization_id = caller.user.organization_id
    with tenancy.organization(organization_id):
        extent = audit.begin_export(
            organization_id=organization_id,
            since=query.validated_data.get("since"),
            until=query.validated_data.get("until"),
            actor=_actor(caller, asked),
            now=now,
        )
    return Begun(organization_id, Export(extent), now)


def _record_denied(asked: Asked, refusal: Forbidden, now: datetime) -> None:
    caller = callers.identify(token=asked.token, now=now)
    with tenancy.organization(caller.user.organization_id):
        audit.record_denied(
            actor=_actor(caller, asked),
            action="audit.export",
            resource_type="audit",
            details={"code": refusal.code, **refusal.data},
            now=now,
        )


def _actor(caller: Caller, asked: Asked) -> Actor:
    return caller.actor(ip_address=asked.address or None, request_id=asked.request_id)


def _identify(asked: Asked, now: datetime) -> Caller:
    """Who asks, remembered between pieces; raises TokenRefused, MethodNotAllowed or Forbidden."""
    caller = callers.identify(token=asked.token, now=now)
    network.check(rules=caller.rules, address=asked.address or None)
    if asked.method != "GET":
        raise MethodNotAllowed(asked.method)
    if not caller.user.may(PERMISSION):
        detail = f"This needs the permission `{PERMISSION}`. Ask an administrator for it."
        raise Forbidden(detail, data={"permission": PERMISSION})
    return caller


def _read(request: Request, request_id: str) -> Asked:
    """Raises NotAuthenticated without a token."""
    return Asked(
        method=request.method,
        token=bearer_token(long_answers.bearer_header(request)),
        address=address_of(request),
        request_id=request_id,
        query=dict(request.query_params),
    )


def _start(begun: Begun, request_id: str) -> dict[str, Any]:
    name = f"audit-{begun.organization_id}-{begun.began_at:%Y%m%dT%H%M%SZ}.jsonl"
    headers = {
        "content-type": "application/x-ndjson",
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-accel-buffering": "no",
        "x-request-id": request_id,
    }
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": raw}
