"""How attempts end: answered, failed, taken away. Every write names its fencing token."""

import random
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from agents.choices import ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.operations import executions, registry
from agents.runtime.spec import FailureKind, RunFailure, RunResult
from kernel import jobs
from kernel.actors import SYSTEM, Actor
from tasks.choices import AttemptOutcome, TaskStatus
from tasks.errors import LeaseLost
from tasks.models import Task, TaskAttempt
from tasks.operations import records
from tasks.operations.claims import Claim

FIRST_BACKOFF_SECONDS: Final = 2.0
LONGEST_BACKOFF_SECONDS: Final = 300.0
LONGEST_ASKED_SECONDS: Final = 3600.0  # a provider that asks for more is asked again anyway
OUTCOMES: Final = {
    "success": AttemptOutcome.SUCCEEDED,
    "error": AttemptOutcome.FAILED,
    "timeout": AttemptOutcome.TIMED_OUT,
    "cancelled": AttemptOutcome.CANCELLED,
}
# Taken away through nobody's wish: the next attempt goes on where this one was.
RESUMED: Final = frozenset({AttemptOutcome.LOST, AttemptOutcome.RETURNED})


@transaction.atomic
def settle_attempt(*, claim: Claim, result: RunResult, now: datetime) -> Task:
    """Write the end of a run, all of it or nothing. Raises LeaseLost for a late worker."""
    agent = _lock_agent(claim)
    task = _lock_claimed(claim)
    execution = executions.close_execution(
        execution_id=claim.execution.pk, ending=_ending(result), now=now
    )
    if execution is None:
        raise LeaseLost
    _end_attempt(task, OUTCOMES[result.status], result.error.message if result.error else "", now)
    _add_cost(task, execution)
    task.resumes_execution_id = None
    if result.error is None:
        _complete(task, result.output, now)
    elif result.error.kind == FailureKind.TOOL_OUTCOME_UNKNOWN:
        _ask_a_person(task, result.error, execution)
    else:
        _fail_or_retry(task, result.error, execution, now)
    _save(task, claim.fencing_token, now)
    ended = task.status in {TaskStatus.COMPLETED, TaskStatus.FAILED}
    executions.count_run(
        agent=agent,
        execution=execution,
        is_success=result.error is None if ended else None,
        now=now,
    )
    _rest(agent, now)
    actor = Actor(type="agent", id=str(agent.pk), label=agent.name)
    details = {"execution": str(execution.pk), "error": task.error_kind}
    records.moved(task, TaskStatus.IN_PROGRESS, actor, now, details)
    return task


@transaction.atomic
def return_attempt(*, claim: Claim, now: datetime) -> None:
    """Give a task back unfinished, as a worker does that shuts down; costs no retry.

    Raises LeaseLost if it was not ours any more.
    """
    agent = _lock_agent(claim)
    task = _lock_claimed(claim)
    fence_off(task, AttemptOutcome.RETURNED, now)
    requeue(task, now)
    task.updated_at = now
    task.save()
    _rest(agent, now)
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
    _end_attempt(task, outcome, reason, now)
    execution = AgentExecution.objects.filter(attempt_id=attempt.pk).first()
    if execution is None:
        return
    task.resumes_execution_id = execution.pk if outcome in RESUMED else None
    ending = executions.Ending(
        status=ExecutionStatus.CANCELLED,
        error=reason,
        error_kind=outcome,
        duration_ms=int((now - attempt.created_at) / timedelta(milliseconds=1)),
    )
    closed = executions.close_execution(execution_id=execution.pk, ending=ending, now=now)
    if closed is not None:
        _add_cost(task, closed)
        if task.agent is not None:
            executions.count_run(agent=task.agent, execution=closed, is_success=None, now=now)


def requeue(task: Task, now: datetime) -> None:
    """Let a locked task wait for its next claim; the caller saves it."""
    task.status = TaskStatus.ASSIGNED if task.agent_id else TaskStatus.PENDING
    task.available_at = now
    task.lease_expires_at = None
    jobs.ring("tasks.claim_tasks")


def rest_agent(*, task: Task, now: datetime) -> None:
    """Show the (locked) agent of `task` as idle if this was its last piece of work."""
    if task.agent_id:
        _rest(Agent.objects.get(pk=task.agent_id), now)


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


def _lock_agent(claim: Claim) -> Agent:
    # Soft-deleted or stopped agents too: what they began is still written down.
    return Agent.objects.select_for_update(no_key=True, of=("self",)).get(pk=claim.agent_id)


def _lock_claimed(claim: Claim) -> Task:
    task = (
        Task.objects.select_for_update(no_key=True)
        .filter(
            pk=claim.task_id,
            status=TaskStatus.IN_PROGRESS,
            fencing_token=claim.fencing_token,
        )
        .first()
    )
    if task is None:
        raise LeaseLost
    return task


def _end_attempt(task: Task, outcome: AttemptOutcome, error: str, now: datetime) -> None:
    TaskAttempt.objects.filter(task=task, outcome=AttemptOutcome.RUNNING).update(
        outcome=outcome,
        error=error,
        finished_at=now,
        updated_at=now,
    )


def _ending(result: RunResult) -> executions.Ending:
    return executions.Ending(
        status=ExecutionStatus(result.status),
        output=result.output,
        error=result.error.message if result.error else "",
        error_kind=result.error.kind if result.error else "",
        duration_ms=result.duration_ms,
    )


def _add_cost(task: Task, execution: AgentExecution) -> None:
    task.cost_tokens += execution.input_tokens + execution.output_tokens
    task.cost_usd += execution.cost_usd


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
    task.status = TaskStatus.REVIEW
    task.error, task.error_kind = failure.message, failure.kind
    task.resumes_execution_id = execution.pk


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


def _save(task: Task, fencing_token: int, now: datetime) -> None:
    task.updated_at = now
    task.lease_expires_at = None
    changed = Task.objects.filter(pk=task.pk, fencing_token=fencing_token).update(
        **{
            name: getattr(task, name)
            for name in (
                "status",
                "result",
                "error",
                "error_kind",
                "progress_percent",
                "completed_at",
                "actual_duration_seconds",
                "cost_tokens",
                "cost_usd",
                "available_at",
                "retry_count",
                "lease_expires_at",
                "resumes_execution_id",
                "updated_at",
            )
        }
    )
    if changed != 1:
        raise LeaseLost


def _rest(agent: Agent, now: datetime) -> None:
    if not Task.objects.filter(agent=agent, status=TaskStatus.IN_PROGRESS).exists():
        registry.set_idle(agent=agent, now=now)
