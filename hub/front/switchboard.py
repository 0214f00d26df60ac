"""Who listens to what: from one event to the sockets that may have it."""

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
from hub.front import callers, database, wire
from hub.front.callers import Caller
from hub.front.wire import Wire
from kernel import clock, tenancy

log = structlog.get_logger(__name__)
RECHECK_SECONDS: Final = 5.0
UNAUTHENTICATED: Final = 4401
TOO_SLOW: Final = 4408


class Line:
    """One authenticated socket or stream: its caller, and the way to end it."""

    door = callers.CONNECT

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.cut: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def end(self, code: int, reason: str) -> None:
        """Have it closed; only the first call counts."""
        if not self.cut.done():
            self.cut.set_result((code, reason))


class Subscriber(Line):
    """A socket with its subscriptions."""

    def __init__(self, caller: Caller, outlet: Wire) -> None:
        super().__init__(caller)
        self.patterns: set[str] = set()
        self._outlet = outlet

    def send(self, frame: bytes) -> None:
        """Send a frame at once, or as soon as the client reads; whoever reads too slowly is cut."""
        if not self.cut.done() and not self._outlet.send_frame(frame):
            self.end(TOO_SLOW, "Too slow. Connect again and read the current state.")

    def end(self, code: int, reason: str) -> None:
        """Have it closed, and nothing sent before that any more."""
        super().end(code, reason)
        self._outlet.drop_frames()


class Switchboard:
    """The lines of one process, found by organization and pattern."""

    def __init__(self) -> None:
        self._lines: set[Line] = set()
        self._subscribers: defaultdict[tuple[UUID, str], set[Subscriber]] = defaultdict(set)

    def connect(self, line: Line) -> None:
        """Have the line's session looked after."""
        self._lines.add(line)

    def disconnect(self, line: Line) -> None:
        """The opposite of `connect`."""
        self._lines.discard(line)

    def subscribe(self, line: Subscriber, pattern: str) -> None:
        """Deliver events that match `pattern` to the line, as far as its caller may read them."""
        line.patterns.add(pattern)
        self._subscribers[line.caller.organization_id, pattern].add(line)

    def unsubscribe(self, line: Subscriber, pattern: str) -> None:
        """The opposite of `subscribe`."""
        line.patterns.discard(pattern)
        key = (line.caller.organization_id, pattern)
        self._subscribers[key].discard(line)
        if not self._subscribers[key]:
            del self._subscribers[key]

    def hang_up(self, line: Subscriber) -> None:
        """Disconnect the line and end its subscriptions."""
        self.disconnect(line)
        for pattern in tuple(line.patterns):
            self.unsubscribe(line, pattern)

    def deliver(self, event: Envelope) -> None:
        """Send one event to everybody who subscribed and may read it; one frame serves all."""
        lines: set[Subscriber] = set()
        for pattern in _patterns(event.type):
            lines |= self._subscribers.get((event.organization_id, pattern), set())
        entitled = [line for line in lines if _may_read(line.caller, event)]
        if entitled:
            frame = wire.text_frame(orjson.dumps({"type": event.type, "data": event.data}))
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
        known = set(asked.values())
        try:
            with tenancy.platform():
                present = await database.ask(callers.list_present, callers=known, now=clock.now())
        except DatabaseError as error:
            log.warning("hub.front.not_rechecked", error=type(error).__name__)
            return
        for line, before in asked.items():
            if line.caller is not before:
                continue  # a newer token came in between; its session was just checked
            caller = present.get(before)
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
