"""Going on with a run that was cut off: its log, and the calls whose outcome nobody knows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from agents.choices import ExecutionStatus, StepKind, StepStatus
from agents.models import AgentExecution, ExecutionStep
from agents.operations import run_tools
from agents.runtime.spec import HELD
from agents.selectors import call_key

ALLOWED_ON: Final = (
    "The outcome of this call is unknown: the worker stopped while it was under way. A person"
    " looked at it and let the run go on. Find out what took effect before you call again."
)


@dataclass(frozen=True, slots=True)
class Past:
    """What a run has behind it: whole steps in order, calls that must not be made again, and the
    ids of those that began and may be. `root_id` is the first of the runs, or this one; `tokens`
    is what they used, with the runs of the agents that they called."""

    root_id: UUID
    steps: Sequence[ExecutionStep]
    unknown: Sequence[ExecutionStep]
    repeats: frozenset[str]
    tokens: int = 0


def read_past(*, execution: AgentExecution, may_repeat: Callable[[str], bool]) -> Past:
    """The steps of the runs that `execution` goes on from, first to last.

    A call that began and has no result was cut off. Its tool may be called again only if it is
    idempotent (architecture §5), as `may_repeat` says by its name; the others are `unknown`.
    """
    chain = _chain(execution)
    written = _written(chain)
    steps = [step for run in chain for step in _usable(run, written[run.pk])]
    answered = {step.call_id for step in steps if _is_call(step) and _is_over(step)}
    open_calls = [s for s in steps if _is_call(s) and s.call_id not in answered]
    repeated = [step for step in open_calls if may_repeat(step.tool)]
    return Past(
        root_id=chain[0].pk if chain else execution.pk,
        steps=[step for step in steps if not _is_call(step) or _is_over(step)],
        unknown=[step for step in open_calls if step not in repeated],
        repeats=frozenset(step.call_id for step in repeated),
        tokens=sum(step.input_tokens + step.output_tokens for step in steps)
        + sum(run.below_tokens for run in chain),
    )


def recorded_steps(
    *, execution: AgentExecution, without: Collection[str] = ()
) -> list[ExecutionStep]:
    """All steps of a run that is over, in order, after those of the runs that it went on from; also
    the answer that was the reason why it failed. Fields that may be large can be left out."""
    *before, last = _chain(execution)
    written = _written([*before, last], without)
    return [step for run in before for step in _usable(run, written[run.pk])] + written[last.pk]


def find_called(*, execution: AgentExecution, keys: Sequence[UUID]) -> dict[UUID, AgentExecution]:
    """The last run of each of these calls to agents."""
    runs = AgentExecution.objects.filter(
        organization_id=execution.organization_id, task_id=execution.task_id, call_key__in=keys
    )
    last = runs.select_related("version").order_by("created_at", "pk")
    return {run.call_key: run for run in last if run.call_key is not None}


@transaction.atomic
def allow_on(*, execution_id: UUID, now: datetime) -> int:
    """A person lets a run go on although a call's outcome is unknown; how many calls there were.

    The call is not made again: the model is told that its outcome is unknown. It may be one of an
    agent that the run called.
    """
    execution = AgentExecution.objects.select_related("version").get(pk=execution_id)
    may_repeat = run_tools.may_repeat(execution=execution)
    past = read_past(execution=execution, may_repeat=may_repeat)
    allowed = ExecutionStep.objects.filter(
        pk__in=[step.pk for step in past.unknown], status=StepStatus.STARTED
    ).update(status=StepStatus.FAILED, error=ALLOWED_ON, updated_at=now)
    keys = [call_key(root_id=past.root_id, call_id=call_id) for call_id in past.repeats]
    called = find_called(execution=execution, keys=keys) if keys else {}
    return allowed + sum(allow_on(execution_id=run.pk, now=now) for run in called.values())


def skip_idle(*, execution_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """From which run each of these, all over, goes on: itself, or the one before it if it had to
    wait before its first step. So a wait of many attempts makes no longer chain."""
    runs = AgentExecution.objects.filter(pk__in=execution_ids, error_kind__in=HELD)
    steps = ExecutionStep.objects.filter(execution=OuterRef("pk"))
    idle = runs.filter(~Exists(steps)).values_list("pk", "resumed_from_id")
    return {**{pk: pk for pk in execution_ids}, **dict(idle)}


# By the key of each run: what else the task has, and how often it waited, costs nothing.
_CHAIN: Final = """
WITH RECURSIVE chain AS (
    SELECT id, resumed_from_id, status, error_kind, below_tokens, task_id, 1 AS place
    FROM agents_agentexecution
    WHERE id = %(last)s AND organization_id = %(organization)s
    AND task_id IS NOT DISTINCT FROM %(task)s
    UNION ALL
    SELECT run.id, run.resumed_from_id, run.status, run.error_kind, run.below_tokens, run.task_id,
        chain.place + 1
    FROM agents_agentexecution AS run JOIN chain ON run.id = chain.resumed_from_id
    WHERE run.task_id IS NOT DISTINCT FROM chain.task_id
)
SELECT id, resumed_from_id, status, error_kind, below_tokens FROM chain ORDER BY place DESC
"""


def _chain(execution: AgentExecution) -> list[AgentExecution]:
    """The runs before `execution`, first to last, and itself if it is over; one query."""
    asked = {
        "last": execution.resumed_from_id,
        "organization": execution.organization_id,
        "task": execution.task_id,
    }
    chain = list(AgentExecution.objects.raw(_CHAIN, asked))
    return chain if execution.status == ExecutionStatus.RUNNING else [*chain, execution]


def _written(
    chain: Sequence[AgentExecution], without: Collection[str] = ()
) -> dict[UUID, list[ExecutionStep]]:
    written: dict[UUID, list[ExecutionStep]] = {run.pk: [] for run in chain}
    steps = ExecutionStep.objects.filter(execution__in=chain).defer(*without)
    for step in steps.order_by("ordinal", "pk"):
        written[step.execution_id].append(step)
    return written


def _usable(run: AgentExecution, steps: list[ExecutionStep]) -> list[ExecutionStep]:
    """The run's steps but for a last answer that was the reason why the run failed: with it the
    next attempt would fail at once, for the same reason."""
    has_failed = run.status == ExecutionStatus.ERROR and run.error_kind not in HELD
    if has_failed and steps and is_final_answer(steps[-1]):
        return steps[:-1]
    return steps


def is_final_answer(step: ExecutionStep) -> bool:
    """Whether it is an answer of the model that asks for no call."""
    if step.kind != StepKind.MODEL_TURN:
        return False
    message: dict[str, Any] = step.message or {}
    return not any(part.get("part_kind") == "tool-call" for part in message.get("parts", []))


def _is_call(step: ExecutionStep) -> bool:
    return step.kind == StepKind.TOOL_CALL


def _is_over(step: ExecutionStep) -> bool:
    return step.status != StepStatus.STARTED
