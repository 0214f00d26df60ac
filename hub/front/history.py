"""What a stream tells of a task's runs, read from the database: each thing once, in one order.

Blocking: call through `database.ask`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Max, Q

from agents import selectors as agents
from agents.choices import ExecutionStatus, StepKind, StepStatus
from agents.models import AgentExecution, ExecutionStep
from events.clients import channel
from tasks.choices import OPEN, AttemptOutcome, TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.selectors import tasks

BATCH: Final = 50  # more than a run has open calls, or reading would not get further
# Numbers that a column can hold, and more open calls than a run ever has.
POSITION: Final = re.compile(r"([0-9]{1,9})\.(?:(end)|([0-9]{1,9})((?:-[0-9]{1,9}){0,20}))")


@dataclass(frozen=True, slots=True)
class Position:
    """What a client has been told: all attempts before `attempt`, and of that one the steps up to
    `ordinal` without the results of the `open` calls, or with `is_over` all of it.

    Calls run side by side and end in any order: the last step alone would not tell which results
    are missing. `str()` of it is the `id` of an event: `1.3`, `1.4-2-4`, `1.end`.
    """

    attempt: int
    ordinal: int = 0
    open: frozenset[int] = frozenset()
    is_over: bool = False

    def __str__(self) -> str:
        if self.is_over:
            return f"{self.attempt}.end"
        return "-".join([f"{self.attempt}.{self.ordinal}", *map(str, sorted(self.open))])


START: Final = Position(0, is_over=True)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; without an `id` it is not repeated to whoever comes back."""

    name: str
    data: Mapping[str, Any]
    id: Position | None = None

    def encode(self) -> bytes:
        """As it goes over the wire; JSON has no line breaks of its own."""
        id_line = f"id: {self.id}\n" if self.id else ""
        head = f"event: {self.name}\n{id_line}data: "
        return head.encode() + channel.to_json(self.data) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what follows a position; `has_more` says that the rest can be read at once."""

    task: Task
    events: Sequence[Event]
    position: Position
    execution_id: UUID | None
    has_more: bool


def resume(*, organization_id: UUID, task_id: UUID, last_event_id: str) -> Position:
    """The position that a `Last-Event-ID` stands for; START if it is none of this task's."""
    position = _parse(last_event_id)
    if position is None:
        return START
    attempts = tasks.list_attempts(organization_id=organization_id, task_id=task_id)
    attempt = attempts.filter(number=position.attempt).first()
    if attempt is None:
        return START
    if position.is_over:
        return position if attempt.outcome != AttemptOutcome.RUNNING else START
    named = position.open | ({position.ordinal} if position.ordinal else set())
    steps = ExecutionStep.objects.filter(
        organization_id=organization_id, execution__attempt_id=attempt.pk, ordinal__in=named
    )
    return position if steps.count() == len(named) else START


def read(*, organization_id: UUID, task_id: UUID, since: Position) -> Part:
    """What follows `since`, of one attempt at most. Raises TaskNotFound.

    Reads ends before contents: whatever had ended has all its steps on record.
    """
    task = tasks.get_task(organization_id=organization_id, task_id=task_id)
    following = tasks.list_attempts(organization_id=organization_id, task_id=task_id)
    attempt = following.filter(number__gte=since.attempt + since.is_over).first()
    if attempt is None:
        return Part(task, (), since, None, has_more=False)
    run = agents.list_executions(organization_id=organization_id).filter(attempt_id=attempt.pk)
    return _read_attempt(task, attempt, run.first(), since)


def find_marks(*, task_ids: Collection[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """For each task a value that changes with everything that `read` would tell; two queries."""
    moved = Task.objects.filter(pk__in=task_ids).values_list("pk", "updated_at")
    written = dict(
        ExecutionStep.objects.filter(
            execution__task_id__in=task_ids, execution__status=ExecutionStatus.RUNNING
        )
        .order_by()
        .values_list("execution__task_id")
        .annotate(written_at=Max("updated_at"))
    )
    return {task_id: (updated_at, written.get(task_id)) for task_id, updated_at in moved}


def state_of(task: Task) -> Event:
    """How a task stands that has not ended."""
    return Event(
        "progress",
        {
            "attempt": None,
            "status": task.status,
            "error": task.error,
            "next_attempt_at": tasks.find_next_attempt(task=task),
        },
    )


def end_of(task: Task) -> Event | None:
    """The one terminal event of a task that has ended."""
    if task.status in OPEN:
        return None
    spent = {"cost_tokens": task.cost_tokens, "cost_usd": _plain(task.cost_usd)}
    if task.status == TaskStatus.COMPLETED:
        return Event("complete", {"status": task.status, "result": task.result, **spent})
    is_cancelled = task.status == TaskStatus.CANCELLED
    code = task.status if is_cancelled else task.error_kind or task.status
    message = "The task was cancelled." if is_cancelled else task.error or "The task failed."
    return Event("error", {"status": task.status, "code": code, "message": message, **spent})


def _parse(text: str) -> Position | None:
    found = POSITION.fullmatch(text)
    if found is None:
        return None
    attempt, end, ordinal, calls = found.groups()
    if end:
        return Position(int(attempt), is_over=True)
    still_open = frozenset(int(number) for number in calls.split("-")[1:])
    if any(not 1 <= number <= int(ordinal) for number in still_open):
        return None
    return Position(int(attempt), int(ordinal), still_open)


def _read_attempt(
    task: Task, attempt: TaskAttempt, execution: AgentExecution | None, since: Position
) -> Part:
    events: list[Event] = []
    position = since
    if attempt.number != since.attempt:
        position = Position(attempt.number)
        events.append(_progress(attempt, AttemptOutcome.RUNNING, position))
    steps = _steps(execution, position) if execution else []
    is_whole = len(steps) < BATCH
    for event in _tell(position, steps, is_whole=is_whole):
        events.append(event)
        position = event.id or position
    is_over = is_whole and attempt.outcome != AttemptOutcome.RUNNING
    if is_over:
        position = Position(attempt.number, is_over=True)
        events.append(_end_of_attempt(attempt, execution, position))
    return Part(
        task,
        events,
        position,
        execution.pk if execution else None,
        has_more=is_over or not is_whole,
    )


def _steps(execution: AgentExecution, position: Position) -> list[ExecutionStep]:
    return list(
        agents.list_steps(
            organization_id=execution.organization_id, execution_id=execution.pk
        ).filter(Q(ordinal__gt=position.ordinal) | Q(ordinal__in=position.open))[:BATCH]
    )


def _tell(position: Position, steps: Sequence[ExecutionStep], *, is_whole: bool) -> Iterator[Event]:
    """The steps as they happened: begun in order, each result where its time puts it.

    Clocks may step back; then results come later, but still once each and after their calls.
    Those that followed the last step of an incomplete batch wait for the next one.
    """
    results: list[ExecutionStep] = []
    for step in steps:
        if step.ordinal > position.ordinal:
            for event in _finish(position, results, before=step):
                yield event
                position = event.id or position
            position = _begun(position, step)
            yield _turn(step, position) if _is_turn(step) else _call(step, position)
        if _has_result(step):
            results.append(step)
    if is_whole:
        yield from _finish(position, results, before=None)


def _finish(
    position: Position, results: list[ExecutionStep], before: ExecutionStep | None
) -> Iterator[Event]:
    """Take from `results` those that came before a step began, and tell them."""
    for step in sorted(results, key=lambda step: (step.updated_at, step.ordinal)):
        if before is None or _is_turn(before) or step.updated_at <= before.created_at:
            results.remove(step)
            position = replace(position, open=position.open - {step.ordinal})
            yield _result(step, position)


def _begun(position: Position, step: ExecutionStep) -> Position:
    still_open = position.open if _is_turn(step) else position.open | {step.ordinal}
    return replace(position, ordinal=step.ordinal, open=still_open)


def _is_turn(step: ExecutionStep) -> bool:
    return step.kind == StepKind.MODEL_TURN


def _has_result(step: ExecutionStep) -> bool:
    """A call that a person closed has no message; its attempt ended long before."""
    is_told = step.status == StepStatus.DONE or step.message is not None
    return not _is_turn(step) and step.status != StepStatus.STARTED and is_told


def _turn(step: ExecutionStep, position: Position) -> Event:
    data = {
        **_place(step, position),
        "content": step.text,
        "provider": step.provider,
        "model": step.model,
        "tokens": step.input_tokens + step.output_tokens,
        "input_tokens": step.input_tokens,
        "output_tokens": step.output_tokens,
        "cost_usd": _plain(step.cost_usd),
        "duration_ms": step.duration_ms,
    }
    return Event("turn", data, position)


def _call(step: ExecutionStep, position: Position) -> Event:
    data = {**_place(step, position), "name": step.tool, "id": step.call_id}
    return Event("tool_start", {**data, "arguments": step.arguments}, position)


def _result(step: ExecutionStep, position: Position) -> Event:
    data = {**_place(step, position), "name": step.tool, "id": step.call_id}
    outcome = {"error": step.error} if step.error else {"result": step.result}
    return Event("tool_result", {**data, **outcome, "duration_ms": step.duration_ms}, position)


def _place(step: ExecutionStep, position: Position) -> dict[str, Any]:
    return {"attempt": position.attempt, "step": step.ordinal}


def _end_of_attempt(
    attempt: TaskAttempt, execution: AgentExecution | None, position: Position
) -> Event:
    if attempt.outcome == AttemptOutcome.SUCCEEDED and execution is not None:
        return Event("done", {"attempt": attempt.number, "content": execution.output}, position)
    return _progress(attempt, attempt.outcome, position)


def _progress(attempt: TaskAttempt, outcome: str, position: Position) -> Event:
    error = "" if outcome == AttemptOutcome.RUNNING else attempt.error
    data = {"attempt": attempt.number, "status": outcome, "error": error}
    return Event("progress", data, position)


def _plain(amount: Decimal) -> str:
    return f"{amount:f}"
