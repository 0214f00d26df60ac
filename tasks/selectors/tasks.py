"""Questions about tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Prefetch, QuerySet

from agents import selectors as agents
from agents.models import AgentExecution, ExecutionStep
from agents.runtime.spec import FailureKind
from tasks.choices import TaskPriority, TaskStatus
from tasks.errors import TaskNotFound
from tasks.models import Task, TaskAttempt

PUT_OFF: Final = frozenset(
    {FailureKind.BREAKER_OPEN, FailureKind.BUDGET_EXHAUSTED, FailureKind.RATE_LIMIT}
)


def list_tasks(*, organization_id: UUID) -> QuerySet[Task]:
    """The organization's tasks, newest first."""
    return Task.objects.filter(organization_id=organization_id).order_by("-created_at", "-pk")


def get_task(*, organization_id: UUID, task_id: UUID) -> Task:
    """One task; raises TaskNotFound."""
    task = Task.objects.filter(organization_id=organization_id, pk=task_id).first()
    if task is None:
        raise TaskNotFound
    return task


def has_task(organization_id: UUID, task_id: UUID) -> bool:
    """Whether the organization has it; a hook of `cost.operations.budgets`."""
    return Task.objects.filter(organization_id=organization_id, pk=task_id).exists()


def title_of(organization_id: UUID, task_id: UUID) -> str | None:
    """What the organization's task is called, if it has it; a hook of
    `approvals.operations.requests`."""
    rows = Task.objects.filter(organization_id=organization_id, pk=task_id)
    return rows.values_list("title", flat=True).first()


def find_next_attempt(*, task: Any) -> datetime | None:
    """When a task may run again that failed or was put off; None if it waits for nothing such.

    `task` is a Task, or a row of its columns `status`, `retry_count`, `error_kind`, `available_at`.
    """
    again = task.retry_count > 0 or task.error_kind in PUT_OFF
    found: datetime | None = task.available_at
    return found if task.status == TaskStatus.ASSIGNED and again else None


def list_attempts(*, organization_id: UUID, task_id: UUID) -> QuerySet[TaskAttempt]:
    """The attempts at one task, first to last."""
    return (
        TaskAttempt.objects.filter(organization_id=organization_id, task_id=task_id)
        .select_related("version")
        .order_by("number", "pk")
    )


def count_tasks(*, organization_id: UUID) -> Mapping[str, object]:
    """`{total, by_status, by_priority}`, every status and priority named, zero or not."""
    by_status = dict.fromkeys(TaskStatus.values, 0)
    by_priority = dict.fromkeys(TaskPriority.values, 0)
    rows = (
        Task.objects.filter(organization_id=organization_id)
        .order_by()
        .values_list("status", "priority")
        .annotate(count=Count("pk"))
    )
    for status, priority, count in rows:
        by_status[status] += count
        by_priority[priority] += count
    return {
        "total": sum(by_status.values()),
        "by_status": by_status,
        "by_priority": by_priority,
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt with the execution behind it and, where asked for, its steps."""

    attempt: TaskAttempt
    execution: AgentExecution | None
    steps: Sequence[ExecutionStep] = ()


def list_runs(*, organization_id: UUID, attempts: Sequence[TaskAttempt]) -> list[Run]:
    """The attempts in their order, each with its execution, in one query."""
    rows = agents.list_executions(organization_id=organization_id)
    executions = {
        execution.attempt_id: execution
        for execution in rows.filter(attempt_id__in=[attempt.pk for attempt in attempts])
    }
    return [Run(attempt=each, execution=executions.get(each.pk)) for each in attempts]


def get_timeline(*, organization_id: UUID, task_id: UUID) -> list[Run]:
    """Everything that happened to a task, attempt by attempt, in three queries."""
    attempts = list(list_attempts(organization_id=organization_id, task_id=task_id))
    executions = {
        execution.attempt_id: execution
        for execution in agents.list_executions(organization_id=organization_id)
        .filter(task_id=task_id, attempt_id__isnull=False)
        .prefetch_related(Prefetch("steps", ExecutionStep.objects.order_by("ordinal", "pk")))
    }
    return [
        Run(
            attempt=attempt,
            execution=(execution := executions.get(attempt.pk)),
            steps=list(execution.steps.all()) if execution else [],
        )
        for attempt in attempts
    ]
