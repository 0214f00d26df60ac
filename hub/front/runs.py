"""Direct runs: Django begins one, here its end is waited for; see docs/api.md.

A run that is waited for holds no thread and no database connection, only a place of this process.
"""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import Error as DatabaseError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from events.clients.channel import Envelope
from hub.front import callers, database, long_answers, whole
from hub.front.callers import Caller
from hub.front.history import START, Event
from hub.front.streams import HEADERS, Admission, TaskStream
from hub.front.threads import Answer
from hub.front.watches import RESTARTS, Watch, Watches
from hub.front.whole import WholeMessages
from kernel import clock
from kernel.errors import Unavailable
from kernel.http import limits
from kernel.http.json import OrjsonRenderer
from runs.choices import LONGEST_SECONDS, RunStatus
from runs.operations import waiting
from runs.operations.waiting import Ticket
from runs.selectors import Outcome
from tasks.choices import WAITING, TaskStatus
from tasks.models import Task

log = structlog.get_logger(__name__)
MOST: Final = 1000
RETRY_SECONDS: Final = 2
# The worker and the sweep end what is late; whoever waits for the answer does not rely on it.
GRACE: Final = timedelta(seconds=2)
PAUSE_SECONDS: Final = 1.0
MOVES: Final = frozenset({"task.updated", "task.completed", "task.failed"})
# Of Django's answer, what is about its own body.
REPLACED: Final = frozenset({b"content-type", b"content-length"})


class RunWatch(Watch):
    """A watch whose holder must be allowed to run agents."""

    door = callers.RUN


class EndWatch(RunWatch):
    """One that hears of the run's end only."""

    def hear(self, event: Envelope) -> None:
        """Have the end looked at, if this may be it."""
        is_done = event.data.get("status") not in {TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS}
        if event.type in MOVES and is_done:
            self.nudge()


class DirectRuns:
    """The ASGI application behind the routes that begin runs."""

    def __init__(self, django: WholeMessages, watches: Watches) -> None:
        self._django = django
        self._watches = watches
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Django does; a run that it began is answered when it has ended."""
        if self._taken >= MOST:
            refusal = Unavailable(
                "This web process waits for as many runs as it may. Try again shortly.",
                data={"retry_after_seconds": RETRY_SECONDS},
            )
            request_id = long_answers.request_id_of(Request(scope))
            await long_answers.problem(refusal, request_id, {})(scope, receive, send)
            return
        self._taken += 1
        try:
            answer = await self._django.ask(scope, receive, send)
            if answer is not None and answer.ticket is not None:
                await self._attend(answer, answer.ticket, receive, send)
            elif answer is not None:
                await whole.write(send, answer)
        finally:
            self._taken -= 1

    async def _attend(self, answer: Answer, ticket: Ticket, receive: Receive, send: Send) -> None:
        if ticket.is_stream:
            kept = {name.decode(): value.decode() for name, value in _kept(answer).items()}
            await RunStream(ticket, self._watches, send).run(receive, {**kept, **HEADERS})
            return
        outcome = await _Wait(ticket, self._watches).run(receive)
        if outcome is not None:
            await whole.write(send, _told(answer, ticket, outcome))


class _Wait:
    """One client until its run has ended."""

    def __init__(self, ticket: Ticket, watches: Watches) -> None:
        self._ticket = ticket
        self._watches = watches
        self._watch = EndWatch(_caller(ticket), ticket.task_id)

    async def run(self, receive: Receive) -> Outcome | None:
        """What the run came to; None if nobody is there any more to hear it."""
        gone = asyncio.create_task(long_answers.until_gone(receive))
        work = asyncio.create_task(self._follow())
        # Before the first look: what happens in between is seen by one or the other.
        self._watches.connect(self._watch)
        ends: list[asyncio.Future[Any]] = [self._watch.cut, gone, work]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watches.disconnect(self._watch)
            work.cancel()
            gone.cancel()
            outcomes = await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(outcomes[0], Outcome):
            return outcomes[0]
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        if not gone.cancelled():
            await _abandon(self._ticket)
            return None
        if self._watch.cut.result()[0] != RESTARTS:
            await _abandon(self._ticket)
        return await database.ask(waiting.look, ticket=self._ticket)

    async def _follow(self) -> Outcome:
        begun = clock.now()
        while True:
            outcome = await _look(self._ticket)
            if outcome and outcome.is_settled:
                return outcome
            left = _left(outcome, begun) if outcome else PAUSE_SECONDS
            if outcome and left <= 0:
                return await _end(self._ticket, outcome)
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._watch.next()


class RunStream(TaskStream):
    """One client of a run: as of a task, but that its end is the run's, and whoever leaves ends it.

    A run that waits for a person ends the stream too: it may do so for days.
    """

    def __init__(self, ticket: Ticket, watches: Watches, send: Send) -> None:
        self._begun = clock.now()
        expiry = self._begun + callers.WITHOUT_END
        super().__init__(Admission(_caller(ticket), expiry, ticket.task_id, START), watches, send)
        self._ticket = ticket

    def watched(self, admission: Admission) -> Watch:
        """What the client hears of."""
        return RunWatch(admission.caller, admission.task_id)

    async def run(self, receive: Receive, headers: dict[str, str]) -> None:
        """Serve to the end; a run that nobody listens to any more is cancelled."""
        await super().run(receive, headers)
        if not self._is_over:
            await _abandon(self._ticket)

    async def _greet(self) -> None:
        begun = {"attempt": None, "status": "begun", "error": ""}
        names = {"task_id": self._ticket.task_id, "conversation_id": self._ticket.conversation_id}
        await self._write(Event("progress", {**begun, **names}).encode())

    async def _beat(self) -> None:
        await super()._beat()
        outcome = await _look(self._ticket)
        if outcome and not outcome.is_settled and _left(outcome, self._begun) <= 0:
            await _end(self._ticket, outcome)
            await self._catch_up()

    async def _find_end(self, task: Task) -> Event | None:
        if task.status in {*WAITING, TaskStatus.IN_PROGRESS}:
            return None
        outcome = await _look(self._ticket)
        if outcome is None:
            self._watch.mark = None  # so that the next look brings us back
        return _last_event(outcome) if outcome and outcome.is_settled else None

    async def _farewell(self) -> bytes:
        if self._is_over:
            return b""
        self._is_over = True
        if not self._watch.cut.done() or self._watch.cut.result()[0] != RESTARTS:
            await _abandon(self._ticket)
        outcome = await _look(self._ticket)
        return _last_event(outcome).encode() if outcome else b""


def _caller(ticket: Ticket) -> Caller:
    """Whose session is looked after while the run is waited for."""
    return Caller(
        ticket.session_id,
        ticket.key_id,
        ticket.user_id,
        ticket.organization_id,
        ticket.actor.ip_address or "",
        frozenset({callers.RUN}),
        frozenset(),
        limits.of_caller(actor=ticket.actor, most=limits.PER_USER),
    )


def _left(outcome: Outcome, begun: datetime) -> float:
    """Seconds for which an unsettled run is still waited for."""
    until = outcome.deadline or begun + timedelta(seconds=LONGEST_SECONDS)
    return (until + GRACE - clock.now()).total_seconds()


async def _look(ticket: Ticket) -> Outcome | None:
    """How the run stands; None while the database does not answer."""
    try:
        return await database.ask(waiting.look, ticket=ticket)
    except DatabaseError as error:
        log.warning("hub.front.run_not_read", error=type(error).__name__)
        return None


async def _end(ticket: Ticket, outcome: Outcome) -> Outcome:
    """What is late is cancelled; what a person made wait goes on without anybody waiting for it."""
    if outcome.deadline is None:
        return outcome
    return await database.ask(waiting.give_up, ticket=ticket, now=clock.now())


async def _abandon(ticket: Ticket) -> None:
    """Nobody waits any more, and whoever might come back said so with a key."""
    if ticket.outlives_client:
        return
    try:
        await database.ask(waiting.give_up, ticket=ticket, now=clock.now())
    except DatabaseError as error:
        # Its deadline ends it.
        log.warning("hub.front.run_not_cancelled", error=type(error).__name__)


def _told(answer: Answer, ticket: Ticket, outcome: Outcome) -> Answer:
    status, body = ticket.show(outcome)
    headers = [*_kept(answer).items(), (b"content-type", b"application/json")]
    return Answer(status, headers, OrjsonRenderer().render(body))


def _kept(answer: Answer) -> dict[bytes, bytes]:
    return {name: value for name, value in answer.headers if name not in REPLACED}


def _last_event(outcome: Outcome) -> Event:
    spent = {
        "status": outcome.status,
        "cost_tokens": outcome.total_tokens,
        "cost_usd": f"{outcome.cost_usd:f}",
        "task_id": outcome.task_id,
        "execution_id": outcome.execution_id,
        "conversation_id": outcome.conversation_id,
    }
    if outcome.status == RunStatus.SUCCESS:
        return Event("complete", {**spent, "result": outcome.output})
    return Event("error", {**spent, "code": outcome.error_kind, "message": outcome.error})
