"""How attempts end: answered, failed, taken away. Every write names its fencing token."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from agents.choices import AgentStatus, ExecutionSource, ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.operations import executions, registry
from agents.runtime.spec import HELD, FailureKind, RunFailure, RunResult
from approvals.selectors import has_pending
from kernel import batches, jobs
from kernel.actors import SYSTEM, Actor
from tasks.choices import AttemptOutcome, TaskStatus
from tasks.errors import LeaseLost
from tasks.models import Task, TaskAttempt
from tasks.operations import postponing, records
from tasks.operations.claims import Claim

FIRST_BACKOFF_SECONDS: Final = 2.0
LONGEST_BACKOFF_SECONDS: Final = 300.0
LONGEST_ASKED_SECONDS: Final = 3600.0  # a provider that asks for more is asked again anyway
READ_OF_AGENT: Final = ("organization", "name", "status")
SETTLED: Final = (
    "status",
    "result",
    "error",
    "error_kind",
    "progress_percent",
    "completed_at",
    "deadline",
    "actual_duration_seconds",
    "cost_tokens",
    "cost_usd",
    "available_at",
    "retry_count",
    "postponed_count",
    "lease_expires_at",
    "resumes_execution_id",
    "updated_at",
)
UNREAD: Final = (
    "created_at",
    "description",
    "instructions",
    "required_tools",
    "output_files",
    "metadata",
)
OUTCOMES: Final = {
    "success": AttemptOutcome.SUCCEEDED,
    "error": AttemptOutcome.FAILED,
    "timeout": AttemptOutcome.TIMED_OUT,
    "cancelled": AttemptOutcome.CANCELLED,
}
# Taken away through nobody's wish: the next attempt goes on where this one was.
RESUMED: Final = frozenset({AttemptOutcome.LOST, AttemptOutcome.RETURNED})


@dataclass(frozen=True, slots=True)
class Settlement:
    """A run that ended, and how."""

    claim: Claim
    result: RunResult


def settle_attempt(*, claim: Claim, result: RunResult, now: datetime) -> Task:
    """Write the end of a run, all of it or nothing. Raises LeaseLost for a late worker."""
    settled = settle_attempts(settlements=[Settlement(claim, result)], now=now)
    if not settled:
        raise LeaseLost
    return settled[claim.attempt_id]


@transaction.atomic
def settle_attempts(*, settlements: Sequence[Settlement], now: datetime) -> dict[UUID, Task]:
    """Write the ends of runs in one transaction; gives the tasks by their attempts.

    Those that are absent came late: somebody else has their task by now, and nothing is written.
    """
    agents = _lock_agents({each.claim.agent_id for each in settlements})
    tasks = _lock_claimed([each.claim for each in settlements])
    closed = executions.close_executions(
        endings={
            each.claim.execution.pk: _ending(each.result)
            for each in settlements
            if each.claim.attempt_id in tasks
        },
        now=now,
    )
    settled = [each for each in settlements if each.claim.execution.pk in closed]
    _end_attempts({each.claim.attempt_id: each.result for each in settled}, now)
    for each in settled:
        _conclude(tasks[each.claim.attempt_id], each.result, closed[each.claim.execution.pk], now)
    _save([tasks[each.claim.attempt_id] for each in settled])
    executions.count_runs(
        runs=[
            (closed[each.claim.execution.pk], _success(tasks[each.claim.attempt_id], each.result))
            for each in settled
        ],
        now=now,
    )
    with batches.together():
        _rest(agents.values(), now)
        records.moved_all(
            [
                _move(tasks[each.claim.attempt_id], agents[each.claim.agent_id], each.claim)
                for each in settled
            ],
            now,
        )
    return {each.claim.attempt_id: tasks[each.claim.attempt_id] for each in settled}


@transaction.atomic
def return_attempt(*, claim: Claim, now: datetime) -> None:
    """Give a task back unfinished, as a worker does that shuts down; costs no retry.

    Raises LeaseLost if it was not ours any more.
    """
    agents = _lock_agents({claim.agent_id})
    task = _lock_claimed([claim]).get(claim.attempt_id)
    if task is None:
        raise LeaseLost
    fence_off(task, AttemptOutcome.RETURNED, now)
    requeue(task, now)
    task.updated_at = now
    task.save()
    _rest(agents.values(), now)
    records.moved(task, TaskStatus.IN_PROGRESS, SYSTEM, now, {"reason": "worker shut down"})


def fence_off(task: Task, outcome: AttemptOutcome, now: datetime) -> None:
    """Take a locked task away from whoever runs it: close its attempt and execution.

    The caller saves the task. A worker that writes later finds its token out of date.
    """
    attempt = TaskAttempt.objects.filter(task=task, outcome=AttemptOutcome.RUNNING).first()
    task.fencing_token += 1
    task.lease_expires_at = None
    if attempt is None:
        return
    reason = _REASONS[outcome]
    attempt.outcome, attempt.error = outcome, reason
    attempt.finished_at = attempt.updated_at = now
    attempt.save(update_fields=["outcome", "error", "finished_at", "updated_at"])
    execution = AgentExecution.objects.filter(attempt_id=attempt.pk).first()
    if execution is None:
        return
    task.resumes_execution_id = execution.pk if outcome in RESUMED else None
    ending = executions.Ending(
        status=ExecutionStatus.CANCELLED,
        error=reason,
        error_kind=outcome,
        # `now` was read before the lock was waited for, during which the attempt may have begun.
        duration_ms=max(0, int((now - attempt.created_at) / timedelta(milliseconds=1))),
    )
    closed = executions.close_execution(execution_id=execution.pk, ending=ending, now=now)
    if closed is not None:
        _add_cost(task, closed)
        if task.agent is not None:
            executions.count_runs(runs=[(closed, None)], now=now)


def requeue(task: Task, now: datetime) -> None:
    """Let a locked task wait for its next claim; the caller saves it."""
    task.status = TaskStatus.ASSIGNED if task.agent_id else TaskStatus.PENDING
    task.available_at = now
    task.lease_expires_at = None
    jobs.ring("tasks.claim_tasks")


def rest_agent(*, task: Task, now: datetime) -> None:
    """Show the (locked) agent of `task` as idle if this was its last piece of work."""
    if task.agent_id:
        _rest([Agent.objects.get(pk=task.agent_id)], now)


def fail(task: Task, kind: str, message: str, now: datetime) -> None:
    """Let a locked task end in failure; the caller saves it."""
    task.status = TaskStatus.FAILED
    task.completed_at = now
    task.error, task.error_kind = message, kind
    task.lease_expires_at = None


_REASONS: Final = {
    AttemptOutcome.CANCELLED: "The task was cancelled or taken over by a person.",
    AttemptOutcome.LOST: "The worker stopped answering, so its lease lapsed.",
    AttemptOutcome.RETURNED: "The worker gave the task back before it was done.",
}


def _lock_agents(agent_ids: set[UUID]) -> dict[UUID, Agent]:
    # Soft-deleted or stopped agents too: what they began is still written down.
    rows = Agent.objects.select_for_update(no_key=True).filter(pk__in=agent_ids)
    return {agent.pk: agent for agent in rows.only(*READ_OF_AGENT).order_by("pk")}


def _lock_claimed(claims: Sequence[Claim]) -> dict[UUID, Task]:
    """The tasks still held under `claims`, by the claim's attempt."""
    by_token = {(claim.task_id, claim.fencing_token): claim.attempt_id for claim in claims}
    rows = (
        Task.objects.select_for_update(no_key=True)
        .filter(pk__in={claim.task_id for claim in claims}, status=TaskStatus.IN_PROGRESS)
        .defer(*UNREAD)
        .order_by("pk")
    )
    return {
        by_token[task.pk, task.fencing_token]: task
        for task in rows
        if (task.pk, task.fencing_token) in by_token
    }


def _end_attempts(results: Mapping[UUID, RunResult], now: datetime) -> None:
    attempts = [
        TaskAttempt(
            id=attempt_id,
            outcome=_outcome(result),
            error=result.error.message if result.error else "",
            finished_at=now,
            updated_at=now,
        )
        for attempt_id, result in results.items()
    ]
    batches.update(attempts, ["outcome", "error", "finished_at", "updated_at"])


def _outcome(result: RunResult) -> AttemptOutcome:
    is_held = result.error is not None and result.error.kind in HELD
    return AttemptOutcome.POSTPONED if is_held else OUTCOMES[result.status]


def _conclude(task: Task, result: RunResult, execution: AgentExecution, now: datetime) -> None:
    """What the end of its run makes of a task."""
    _add_cost(task, execution)
    task.resumes_execution_id = None
    task.lease_expires_at = None
    task.updated_at = now
    if result.error is None:
        _complete(task, result.output, now)
    elif result.error.kind == FailureKind.APPROVAL_PENDING:
        _wait_for_people(task, result.error, execution, now)
    elif result.error.kind in HELD:
        _postpone(task, result.error, execution, now)
    elif result.error.kind == FailureKind.TOOL_OUTCOME_UNKNOWN:
        _ask_a_person(task, result.error, execution)
    else:
        _fail_or_retry(task, result.error, execution, now)


def _success(task: Task, result: RunResult) -> bool | None:
    """Whether the agent completed or failed a task; None while the task goes on, and for what was
    only played again."""
    if task.source == ExecutionSource.REPLAY:
        return None
    ended = task.status in {TaskStatus.COMPLETED, TaskStatus.FAILED}
    return result.error is None if ended else None


def _move(task: Task, agent: Agent, claim: Claim) -> records.Move:
    actor = Actor(type="agent", id=str(agent.pk), label=agent.name)
    details = {"execution": str(claim.execution.pk), "error": task.error_kind}
    return records.Move(task, TaskStatus.IN_PROGRESS, actor, details)


def _ending(result: RunResult) -> executions.Ending:
    return executions.Ending(
        status=ExecutionStatus(result.status),
        output=result.output,
        error=result.error.message if result.error else "",
        error_kind=result.error.kind if result.error else "",
        duration_ms=result.duration_ms,
        held_by=result.error.held_by if result.error else None,
    )


def _add_cost(task: Task, execution: AgentExecution) -> None:
    task.cost_tokens += execution.input_tokens + execution.output_tokens + execution.below_tokens
    task.cost_usd += execution.cost_usd + execution.below_cost_usd


def _complete(task: Task, output: str, now: datetime) -> None:
    task.status = TaskStatus.COMPLETED
    task.result = output
    task.error = task.error_kind = ""
    task.progress_percent = 100
    task.completed_at = now
    if task.started_at:
        task.actual_duration_seconds = (now - task.started_at).total_seconds()


def _ask_a_person(task: Task, failure: RunFailure, execution: AgentExecution) -> None:
    """Nobody knows whether a tool took effect: only a person may say how to go on."""
    task.wait_for_person()
    task.error, task.error_kind = failure.message, failure.kind
    task.resumes_execution_id = execution.pk


def _wait_for_people(
    task: Task, failure: RunFailure, execution: AgentExecution, now: datetime
) -> None:
    """The decision lets the run go on; it may have come before this transaction locked the task."""
    task.resumes_execution_id = execution.pk
    if not has_pending(organization_id=task.organization_id, task_id=task.pk):
        requeue(task, now)
        return
    task.wait_for_person()
    task.error, task.error_kind = failure.message, failure.kind


def _postpone(task: Task, failure: RunFailure, execution: AgentExecution, now: datetime) -> None:
    """Nothing failed: what the run needs cannot be had now. It costs no retry."""
    at = postponing.put_off(task=task, failure=failure, execution=execution, now=now)
    if task.deadline is not None and at >= task.deadline:
        fail(task, failure.kind, failure.message, now)  # sooner than the sweep, and with its reason
        return
    requeue(task, now)
    task.available_at = at
    task.resumes_execution_id = execution.pk
    task.error, task.error_kind = failure.message, failure.kind


def _fail_or_retry(
    task: Task, failure: RunFailure, execution: AgentExecution, now: datetime
) -> None:
    wait = backoff(task.retry_count, failure.retry_after_seconds)
    at = now + wait
    too_late = task.deadline is not None and at >= task.deadline
    if failure.retryable and task.retry_count < task.max_retries and not too_late:
        requeue(task, now)
        task.retry_count += 1
        task.available_at = at
        task.resumes_execution_id = execution.pk
        task.error, task.error_kind = failure.message, failure.kind
        return
    fail(task, failure.kind, failure.message, now)
    if task.started_at:
        task.actual_duration_seconds = (now - task.started_at).total_seconds()


def backoff(retries: int, retry_after_seconds: float | None) -> timedelta:
    """How long to wait: doubling from 2 s up to 5 min, half of it random, never less than asked."""
    full = min(FIRST_BACKOFF_SECONDS * 2**retries, LONGEST_BACKOFF_SECONDS)
    jittered = full / 2 + random.random() * full / 2  # noqa: S311 - spreads load, hides nothing
    return timedelta(seconds=max(jittered, min(retry_after_seconds or 0, LONGEST_ASKED_SECONDS)))


def _save(tasks: Sequence[Task]) -> None:
    written = batches.update(tasks, SETTLED, where=["id", "fencing_token"])
    if len(written) != len(tasks):
        raise LeaseLost


def _rest(agents: Iterable[Agent], now: datetime) -> None:
    """Show those of the locked agents as idle that have nothing in progress."""
    busy = [agent for agent in agents if agent.status == AgentStatus.BUSY]
    if not busy:
        return
    working = set(
        Task.objects.filter(agent__in=busy, status=TaskStatus.IN_PROGRESS)
        .order_by()
        .values_list("agent_id", flat=True)
        .distinct()
    )
    for agent in busy:
        if agent.pk not in working:
            registry.set_idle(agent=agent, now=now)
