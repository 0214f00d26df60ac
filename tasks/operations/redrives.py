"""Failed tasks that begin anew, and open ones that are given up."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from kernel import jobs
from kernel.actors import Actor
from tasks.choices import OPEN, AttemptOutcome, TaskStatus
from tasks.errors import TaskNotFailed, TransitionRefused
from tasks.models import Task
from tasks.operations import authors, endings, records, requests

GIVEN_UP: Final = "given_up"


@transaction.atomic
def redrive_task(*, organization_id: UUID, task_id: UUID, actor: Actor, now: datetime) -> Task:
    """Put a failed task back to work with all its retries, from its beginning.

    A deadline that has passed is lifted: with it the task would fail at once. Raises TaskNotFound,
    or TaskNotFailed.
    """
    task = requests.lock_task(organization_id=organization_id, task_id=task_id)
    if task.status != TaskStatus.FAILED:
        raise TaskNotFailed
    authors.add_author(task, actor)
    task.retry_count = task.progress_percent = 0
    task.error = task.error_kind = ""
    task.result = None
    task.started_at = task.completed_at = None
    task.actual_duration_seconds = task.resumes_execution_id = None
    if task.deadline is not None and task.deadline <= now:
        task.deadline = None
    if task.agent is not None and task.agent.is_deleted:
        task.agent = None
    task.status = TaskStatus.ASSIGNED if task.agent_id else TaskStatus.PENDING
    task.available_at = task.updated_at = now
    task.save()
    jobs.ring("tasks.claim_tasks" if task.agent_id else "tasks.sweep_tasks")
    records.moved(task, TaskStatus.FAILED, actor, now, {"redriven": True})
    return task


@transaction.atomic
def give_up_task(
    *, organization_id: UUID, task_id: UUID, reason: str, actor: Actor, now: datetime
) -> Task:
    """Let a task fail that has not ended, whatever it waits for; its worker loses the lease.

    Raises TaskNotFound, or TransitionRefused.
    """
    task = requests.lock_task(organization_id=organization_id, task_id=task_id)
    if task.status not in OPEN:
        raise TransitionRefused
    before = task.status
    if before == TaskStatus.IN_PROGRESS:
        endings.fence_off(task, AttemptOutcome.CANCELLED, now)
    task.resumes_execution_id = None
    endings.fail(task, GIVEN_UP, f"Given up: {reason}", now)
    task.updated_at = now
    task.save()
    if before == TaskStatus.IN_PROGRESS:
        endings.rest_agent(task=task, now=now)
    records.moved(task, before, actor, now, {"reason": reason})
    return task
