"""Who listens to what: from one event to the queues of the sockets that may have it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from uuid import UUID

import orjson
import structlog
from django.db import Error as DatabaseError

from events import choices
from events.clients.channel import Envelope
from hub.front import callers, database
from hub.front.callers import Caller
from kernel import clock

log = structlog.get_logger(__name__)
QUEUED_FRAMES: Final = 256
RECHECK_SECONDS: Final = 5.0
UNAUTHENTICATED: Final = 4401
TOO_SLOW: Final = 4408


class Line:
    """One authenticated socket: its caller, its subscriptions and what waits to be sent to it."""

    door = callers.CONNECT

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.patterns: set[str] = set()
        self.frames: asyncio.Queue[str] = asyncio.Queue(QUEUED_FRAMES)
        self.cut: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def send(self, frame: str) -> None:
        """Queue a frame; whoever does not read fast enough to have room is cut off."""
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.end(TOO_SLOW, "Too slow. Connect again and read the current state.")

    def end(self, code: int, reason: str) -> None:
        """Have the socket closed; only the first call counts."""
        if not self.cut.done():
            self.cut.set_result((code, reason))


class Switchboard:
    """The lines of one process, found by organization and pattern."""

    def __init__(self) -> None:
        self._lines: set[Line] = set()
        self._listeners: defaultdict[tuple[UUID, str], set[Line]] = defaultdict(set)

    def connect(self, line: Line) -> None:
        """Have the line's session looked after."""
        self._lines.add(line)

    def disconnect(self, line: Line) -> None:
        """Forget the line and its subscriptions."""
        self._lines.discard(line)
        for pattern in tuple(line.patterns):
            self.unsubscribe(line, pattern)

    def subscribe(self, line: Line, pattern: str) -> None:
        """Deliver events that match `pattern` to the line, as far as its caller may read them."""
        line.patterns.add(pattern)
        self._listeners[line.caller.organization_id, pattern].add(line)

    def unsubscribe(self, line: Line, pattern: str) -> None:
        """The opposite of `subscribe`."""
        line.patterns.discard(pattern)
        key = (line.caller.organization_id, pattern)
        self._listeners[key].discard(line)
        if not self._listeners[key]:
            del self._listeners[key]

    def deliver(self, event: Envelope) -> None:
        """Queue one event for everybody who subscribed and may read it; serialised once."""
        lines: set[Line] = set()
        for pattern in _patterns(event.type):
            lines |= self._listeners.get((event.organization_id, pattern), set())
        entitled = [line for line in lines if _may_read(line.caller, event)]
        if entitled:
            frame = orjson.dumps({"type": event.type, "data": event.data}).decode()
            for line in entitled:
                line.send(frame)

    async def keep_checking(self) -> None:
        """Until cancelled: end lines whose session ended, and follow changes of rights."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if self._lines:
                await self.recheck(set(self._lines))

    async def recheck(self, lines: set[Line]) -> None:
        """One query for all of `lines`; a database that does not answer changes nothing."""
        asked = {line: line.caller for line in lines}
        ids = {caller.session_id for caller in asked.values()}
        try:
            present = await database.ask(callers.list_present, session_ids=ids, now=clock.now())
        except DatabaseError as error:
            log.warning("hub.front.not_rechecked", error=type(error).__name__)
            return
        for line, before in asked.items():
            if line.caller is not before:
                continue  # a newer token came in between; its session was just checked
            caller = present.get(before.session_id)
            if caller is None or line.door not in caller.doors:
                line.end(UNAUTHENTICATED, "The session has ended. Log in again.")
            else:
                line.caller = caller


def matches(pattern: str) -> Iterator[str]:
    """The names of the registered event types that `pattern` stands for."""
    return (kind.name for kind in choices.list_types() if pattern in _patterns(kind.name))


@lru_cache(maxsize=1024)
def _patterns(name: str) -> tuple[str, ...]:
    """What one may subscribe to in order to get `name`: `a.b.c`, `a.b.*`, `a.*`, `*`."""
    parts = name.split(".")
    return (name, *(".".join([*parts[:n], "*"]) for n in range(len(parts))))


def _may_read(caller: Caller, event: Envelope) -> bool:
    return event.type in caller.readable and event.user_id in {None, caller.user_id}
