"""`GET /api/v1/tasks/{id}/stream`: a task's run as server-sent events; see docs/events.md."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from rest_framework.exceptions import APIException, MethodNotAllowed
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hub.front import callers, database, history, long_answers
from hub.front.callers import Caller
from hub.front.history import Event, Position
from hub.front.switchboard import UNAUTHENTICATED
from hub.front.tolls import Toll
from hub.front.watches import Watch, Watches, Words
from kernel import clock, tenancy
from kernel.errors import DomainError, Forbidden, Invalid, Unavailable
from tasks.models import Task
from tasks.selectors import tasks

log = structlog.get_logger(__name__)
HEARTBEAT_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 2.0
HEARTBEAT: Final = b": heartbeat\n\n"
RECONNECT_MS: Final = 1000
HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Admission:
    """Who watches which task, until when, and what they have had before."""

    caller: Caller
    expiry: datetime
    task_id: UUID
    since: Position


class TaskStreams:
    """The ASGI application behind the route."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a problem document before the first byte, or stream."""
        request = Request(scope)
        request_id = long_answers.request_id_of(request)
        toll = Toll(callers.address_of(request))
        try:
            toll.check()
            admission = await _ask_admission(request, toll)
        except (DomainError, APIException) as refusal:
            answer = long_answers.problem(refusal, request_id, toll.headers())
            await answer(scope, receive, send)
        else:
            stream = TaskStream(admission, self._watches, send)
            headers = {**HEADERS, **toll.headers(), "x-request-id": request_id}
            await stream.run(receive, headers)


class TaskStream:
    """One client from its first byte to its last."""

    def __init__(self, admission: Admission, watches: Watches, send: Send) -> None:
        self._expiry = admission.expiry
        self._watch = self.watched(admission)
        self._watches = watches
        self._send = send
        self._position = admission.since
        self._execution_id: UUID | None = None
        self._writing: tuple[UUID, int] | None = None
        self._status = ""
        self._is_over = False

    def watched(self, admission: Admission) -> Watch:
        """What the client hears of."""
        return Watch(admission.caller, admission.task_id)

    async def run(self, receive: Receive, headers: dict[str, str]) -> None:
        """Serve until the task ends, or either side."""
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})
        gone = asyncio.create_task(long_answers.until_gone(receive))
        work = asyncio.create_task(self._speak())
        seconds = max(0.0, (self._expiry - clock.now()).total_seconds())
        expiry = asyncio.get_running_loop().call_later(
            seconds, self._watch.end, UNAUTHENTICATED, "The token has expired. Log in again."
        )
        # Before the first look: what happens in between is seen by one or the other.
        self._watches.connect(self._watch)
        ends: list[asyncio.Future[Any]] = [self._watch.cut, gone, work]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watches.disconnect(self._watch)
            expiry.cancel()
            work.cancel()
            gone.cancel()
            outcomes = await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            log.error("hub.front.stream_failed", exc_info=outcomes[0])
        if gone.cancelled():
            await self._close(receive)

    async def _close(self, receive: Receive) -> None:
        """Say goodbye; a client that does not take it is cut off by the server's own timeout."""
        farewell = await self._farewell()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "http.response.body", "body": farewell})
                return
        await long_answers.until_gone(receive)

    async def _farewell(self) -> bytes:
        """The last words to a client that is still there."""
        if self._watch.cut.done() and self._watch.cut.result()[0] == UNAUTHENTICATED:
            message = self._watch.cut.result()[1]
            return Event("error", {"code": "auth.token_refused", "message": message}).encode()
        return b""

    async def _speak(self) -> None:
        await self._greet()
        await self._catch_up()
        while not self._is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    heard = await self._watch.next()
            except TimeoutError:
                await self._beat()
                continue
            if heard is None:
                await self._catch_up()
            else:
                await self._pass_on(heard)

    async def _beat(self) -> None:
        """Nothing happened for a while."""
        await self._write(HEARTBEAT)

    async def _catch_up(self) -> None:
        """Tell what the database has and the client has not, and the end if this was all."""
        while True:
            organization_id = self._watch.caller.organization_id
            try:
                with tenancy.organization(organization_id):
                    part = await database.ask(
                        history.read,
                        organization_id=organization_id,
                        task_id=self._watch.task_id,
                        since=self._position,
                    )
            except DatabaseError as error:
                log.warning("hub.front.stream_not_read", error=type(error).__name__)
                self._watch.mark = None  # so that the next look brings us back
                return
            for event in part.events:
                await self._write(event.encode())
            self._position, self._execution_id = part.position, part.execution_id
            if not part.has_more:
                break
        end = await self._find_end(part.task)
        if end is not None:
            self._is_over = True
            await self._write(end.encode())
        elif part.task.status != self._status:
            self._status = part.task.status
            await self._write(history.state_of(part.task).encode())

    async def _greet(self) -> None:
        """The first words."""
        await self._write(f"retry: {RECONNECT_MS}\n\n".encode())

    async def _find_end(self, task: Task) -> Event | None:
        """The terminal event, if the task has come to an end."""
        return history.end_of(task)

    async def _pass_on(self, words: Words) -> None:
        """Send words on after all that came before them, unless the whole answer went already."""
        step = (words.execution_id, words.ordinal)
        if step != self._writing:
            await self._catch_up()
            self._writing = step
        is_late = words.ordinal <= self._position.ordinal
        if self._is_over or is_late or words.execution_id != self._execution_id:
            return
        place = {"attempt": self._position.attempt, "step": words.ordinal}
        await self._write(Event("token", {**place, "content": words.text}).encode())

    async def _write(self, frame: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})


async def _ask_admission(request: Request, toll: Toll) -> Admission:
    try:
        return await database.ask(
            toll.through,
            _admit,
            toll,
            method=request.method,
            authorization=long_answers.bearer_header(request),
            address=callers.address_of(request),
            task_id=request.path_params["task_id"],
            last_event_id=request.headers.get("last-event-id", ""),
            now=clock.now(),
        )
    except DatabaseError:
        raise Unavailable from None


def _admit(
    toll: Toll,
    *,
    method: str,
    authorization: str,
    address: str,
    task_id: str,
    last_event_id: str,
    now: datetime,
) -> Admission:
    """Refuses in the order of every route: 401, 429, 405, 404, 403, 422 (contract decisions, 1)."""
    token = callers.bearer_token(authorization)
    caller, expiry = callers.identify(token=token, address=address, now=now)
    toll.charge(caller.budget)
    if method != "GET":
        raise MethodNotAllowed(method)
    with tenancy.organization(caller.organization_id):
        subject_id = _uuid(task_id)
        if subject_id is not None:
            tasks.get_task(organization_id=caller.organization_id, task_id=subject_id)
        if callers.WATCH not in caller.doors:
            raise Forbidden
        if subject_id is None:
            raise Invalid.field("id", "Send a UUID.", type="uuid")
        since = history.resume(
            organization_id=caller.organization_id, task_id=subject_id, last_event_id=last_event_id
        )
    return Admission(caller, expiry, subject_id, since)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
