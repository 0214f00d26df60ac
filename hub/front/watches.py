"""Who watches which task: live words pass through a bounded queue, all else is only a nudge."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import Error as DatabaseError

from events.clients.channel import Envelope
from hub.front import callers, database, history
from hub.front.callers import Caller
from hub.front.switchboard import Line, Switchboard
from kernel import tenancy

log = structlog.get_logger(__name__)
QUEUED_WORDS: Final = 256
# Redis brings nudges at once; this finds what it did not bring.
LOOK_SECONDS: Final = 5.0
TOO_SLOW: Final = 4408
RESTARTS: Final = 1012


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of an answer under way; the step `ordinal` will hold the whole."""

    execution_id: UUID
    ordinal: int
    text: str


class Watch(Line):
    """One stream: its caller, its task and what it has not looked at yet."""

    door = callers.WATCH

    def __init__(self, caller: Caller, task_id: UUID) -> None:
        super().__init__(caller)
        self.task_id = task_id
        self.mark: object = None
        self._heard: asyncio.Queue[Words | None] = asyncio.Queue(QUEUED_WORDS)
        self._nudged = False

    def hear(self, event: Envelope) -> None:
        """Queue words; for anything else there is something new in the database."""
        words = _words(event)
        if words is None:
            self.nudge()
        else:
            self._put(words)

    def nudge(self) -> None:
        """Have the database looked at; one look serves all that came before it."""
        if not self._nudged:
            self._nudged = True
            self._put(None)

    async def next(self) -> Words | None:
        """The next words, or None for a nudge."""
        heard = await self._heard.get()
        if heard is None:
            self._nudged = False
        return heard

    def _put(self, heard: Words | None) -> None:
        try:
            self._heard.put_nowait(heard)
        except asyncio.QueueFull:
            self.end(TOO_SLOW, "Too slow. Connect again.")


class Watches:
    """The streams of one process, found by task; their sessions are the switchboard's care."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._watches: defaultdict[UUID, set[Watch]] = defaultdict(set)
        self._draining = False

    def __len__(self) -> int:
        return sum(map(len, self._watches.values()))

    def connect(self, watch: Watch) -> None:
        """From now on the watch hears of its task; while the server drains it is ended at once."""
        self._board.connect(watch)
        self._watches[watch.task_id].add(watch)
        if self._draining:
            watch.end(RESTARTS, "The hub restarts. Connect again.")

    def disconnect(self, watch: Watch) -> None:
        """Forget the watch."""
        self._board.disconnect(watch)
        self._watches[watch.task_id].discard(watch)
        if not self._watches[watch.task_id]:
            del self._watches[watch.task_id]

    def deliver(self, event: Envelope) -> None:
        """Give an event to those who watch the task that it names."""
        task_id = _task_of(event) if self._watches else None
        for watch in self._watches.get(task_id, ()) if task_id else ():
            if watch.caller.organization_id == event.organization_id:
                watch.hear(event)

    def drain(self) -> None:
        """End every stream, now and from now on: the server stops."""
        self._draining = True
        for watch in self._all():
            watch.end(RESTARTS, "The hub restarts. Connect again.")

    async def keep_looking(self) -> None:
        """Until cancelled: nudge those about whose task no event came although it changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._watches:
                await self._look()

    async def _look(self) -> None:
        try:
            with tenancy.platform():
                marks = await database.ask(history.find_marks, task_ids=list(self._watches))
        except DatabaseError as error:
            log.warning("hub.front.not_looked", error=type(error).__name__)
            return
        for watch in self._all():
            mark = marks.get(watch.task_id)
            if mark != watch.mark:
                watch.mark = mark
                watch.nudge()

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]


def _task_of(event: Envelope) -> UUID | None:
    if not event.type.startswith("task.") or not isinstance(event.data, dict):
        return None
    return _uuid(event.data.get("task_id") or event.data.get("id"))


def _words(event: Envelope) -> Words | None:
    match event.type, event.data:
        case "task.output", {"execution_id": run, "ordinal": int(ordinal), "text": str(text)}:
            execution_id = _uuid(run)
            return Words(execution_id, ordinal, text) if execution_id else None
    return None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
