"""`GET /api/v1/audit-events/export`: the audit chain as JSON lines; see docs/audit.md.

Here and not in Django: who reads slowly holds neither a thread nor a database connection.
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

import orjson
import structlog
from django.db import Error as DatabaseError
from rest_framework.exceptions import APIException, MethodNotAllowed
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from accounts.choices import Restriction
from accounts.errors import MfaEnrollmentRequired, PasswordExpired
from accounts.operations import callers
from accounts.operations.callers import Caller
from accounts.selectors import network
from audit import operations as audit
from audit.filters import SpanQuery
from audit.selectors.exports import Export
from hub.front import browsers, database, long_answers
from hub.front.callers import address_of, bearer_token
from hub.front.places import Places
from hub.front.protocol import STEADY
from hub.front.tolls import Toll
from kernel import clock, tenancy
from kernel.actors import Actor
from kernel.errors import DomainError, Forbidden, Unavailable
from kernel.http import limits

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)
PERMISSION: Final = "audit.export"
RESTRICTED: Final = {
    Restriction.PASSWORD: PasswordExpired,
    Restriction.MFA: MfaEnrollmentRequired,
}
TRIES: Final = 5
PAUSE_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 2.0
# Also while a piece waits for its reader: who may no longer have it holds no place.
RECHECK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for an export says."""

    method: str
    authorization: str
    # The console's cookie, in place of a token.
    cookie: str
    address: str
    request_id: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who may have an export, and which time they asked for."""

    caller: Caller
    since: datetime | None
    until: datetime | None

    @property
    def organization_id(self) -> UUID:
        """Whose chain it is."""
        return self.caller.user.organization_id


class AuditExports:
    """The ASGI application behind the route."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[bool]] = set()
        self._places = Places()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a problem document before the first byte, or send."""
        request = Request(scope)
        request_id = long_answers.request_id_of(request)
        toll = Toll(address_of(request))
        with ExitStack() as place:
            try:
                toll.check()
                asked = _read(request, request_id)
                admitted = await _ask(toll.through, _admit, toll, asked, now=clock.now())
                place.enter_context(
                    self._places.one(
                        organization_id=admitted.organization_id, user_id=admitted.caller.user.pk
                    )
                )
                now = clock.now()
                export = await _ask(_begin, admitted, asked, now=now)
            except (DomainError, APIException) as refusal:
                answer = (
                    browsers.lead_back(refusal, request_id)
                    if browsers.cookie_of(request)
                    else long_answers.problem(refusal, request_id, toll.headers())
                )
                await answer(scope, receive, send)
                return
            await send(_start(admitted.organization_id, now, toll, request_id))
            is_whole = await self._send_all(asked, export, receive, send, scope["state"])
        if not is_whole:
            # The server cuts off who does not take what they were sent last.
            await long_answers.until_gone(receive)

    def drain(self) -> None:
        """Break every export off: the server stops."""
        for work in self._running:
            work.cancel("hub.restarts")

    async def _send_all(
        self,
        asked: Asked,
        export: Export,
        receive: Receive,
        send: Send,
        state: MutableMapping[str, Any],
    ) -> bool:
        """Whether all of the answer was sent, its end included."""
        state[STEADY] = True
        work = asyncio.create_task(_write_all(asked, export, send))
        watch = asyncio.create_task(_watch(asked, work))
        gone = asyncio.create_task(long_answers.until_gone(receive))
        self._running.add(work)
        try:
            await asyncio.wait([work, watch, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._running.discard(work)
            state[STEADY] = False
            for task in (work, watch, gone):
                task.cancel()
            outcomes = await asyncio.gather(work, watch, gone, return_exceptions=True)
        for failure in outcomes:
            if isinstance(failure, Exception):
                log.error("hub.front.export_failed", exc_info=failure)
        return outcomes[0] is True


async def _watch(asked: Asked, work: asyncio.Task[bool]) -> None:
    """Break the work off when its caller may no longer have it, whether or not the client reads."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            await database.ask(_identify, asked, clock.now())
        except DatabaseError:
            continue
        except DomainError as refusal:
            work.cancel(refusal.code)
            await asyncio.wait([work])
            return


async def _write_all(asked: Asked, export: Export, send: Send) -> bool:
    """Whether the client took all of it, the end included."""
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
    try:
        async with asyncio.timeout(CLOSE_SECONDS if code else None):
            await send({"type": "http.response.body", "body": last})
    except TimeoutError:
        return False
    return True


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


def _admit(toll: Toll, asked: Asked, *, now: datetime) -> Admitted:
    """Refuses in the order of every route: 401, 429, 405, 403, 422 (contract decisions, 1)."""
    caller = _caller(asked, now)
    try:
        network.check(rules=caller.rules, address=asked.address or None)
        toll.charge(limits.of_caller(actor=caller.actor(), most=caller.rate_limit))
        _check(caller, asked)
    except Forbidden as refusal:
        _record_denied(caller, asked, refusal, now)
        raise
    query = SpanQuery(data=asked.query)
    query.is_valid(raise_exception=True)
    return Admitted(caller, query.validated_data.get("since"), query.validated_data.get("until"))


def _begin(admitted: Admitted, asked: Asked, *, now: datetime) -> Export:
    with tenancy.organization(admitted.organization_id):
        extent = audit.begin_export(
            organization_id=admitted.organization_id,
            since=admitted.since,
            until=admitted.until,
            actor=_actor(admitted.caller, asked),
            now=now,
        )
    return Export(extent)


def _record_denied(caller: Caller, asked: Asked, refusal: Forbidden, now: datetime) -> None:
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
    """Who asks, remembered between pieces; raises TokenRefused or Forbidden."""
    caller = _caller(asked, now)
    network.check(rules=caller.rules, address=asked.address or None)
    _check(caller, asked)
    return caller


def _caller(asked: Asked, now: datetime) -> Caller:
    if asked.cookie:
        return browsers.identify(cookie=asked.cookie, address=asked.address, now=now)
    return callers.identify(token=bearer_token(asked.authorization), now=now)


def _check(caller: Caller, asked: Asked) -> None:
    """Raises MethodNotAllowed or Forbidden."""
    if asked.method != "GET":
        raise MethodNotAllowed(asked.method)
    if restriction := caller.user.rights.restriction:
        raise RESTRICTED[Restriction(restriction)]
    if not caller.user.may(PERMISSION):
        detail = f"This needs the permission `{PERMISSION}`. Ask an administrator for it."
        raise Forbidden(detail, data={"permission": PERMISSION})


async def _ask(question: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await database.ask(question, *args, **kwargs)
    except DatabaseError:
        raise Unavailable from None


def _read(request: Request, request_id: str) -> Asked:
    return Asked(
        method=request.method,
        authorization=long_answers.bearer_header(request),
        cookie=browsers.cookie_of(request),
        address=address_of(request),
        request_id=request_id,
        query=dict(request.query_params),
    )


def _start(
    organization_id: UUID, began_at: datetime, toll: Toll, request_id: str
) -> dict[str, Any]:
    name = f"audit-{organization_id}-{began_at:%Y%m%dT%H%M%SZ}.jsonl"
    headers = {
        "content-type": "application/x-ndjson",
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-accel-buffering": "no",
        "x-request-id": request_id,
        **toll.headers(),
    }
    raw = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": raw}
