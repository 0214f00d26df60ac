"""What is found again by looking: lapsed leases, missed deadlines, unassigned and unrung tasks."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q

from agents.choices import AgentKind
from agents.models import Agent, AgentExecution
from agents.runtime.spec import FailureKind
from agents.selectors import disabling_override
from kernel import jobs
from kernel.actors import SYSTEM
from tasks.choices import WAITING, AttemptOutcome, TaskStatus
from tasks.models import Task
from tasks.operations import claims, endings, records

log = structlog.get_logger(__name__)
BATCH: Final = 200
UNASSIGNED: Final = (TaskStatus.PENDING, TaskStatus.QUEUED)
Row = tuple[UUID, UUID | None]  # task id, agent id


def sweep_tasks(*, now: datetime) -> Mapping[str, int]:
    """One pass over what waits; the number of tasks it touched, by reason."""
    swept = {
        "lost": sum(_attempt(_lose, row, now) for row in _lapsed(now)),
        "expired": sum(_attempt(_expire, row, now) for row in _overdue(now)),
        "assigned": assign_tasks(now=now),
    }
    if claims.is_claimable_waiting(now=now):
        jobs.ring("tasks.claim_tasks")
    return swept


def assign_tasks(*, now: datetime) -> int:
    """Give unassigned tasks to the least loaded agent that has their tools; how many found one.

    Those that fit nobody wait as `queued`, by priority, then age (contract 003 B3).
    """
    _release(now)
    waiting = Task.objects.filter(status__in=UNASSIGNED, agent=None).order_by()
    organizations = list(waiting.values_list("organization_id", flat=True).distinct())
    return sum(_assign_organization(organization_id, now) for organization_id in organizations)


@transaction.atomic
def _assign_organization(organization_id: UUID, now: datetime) -> int:
    candidates = _candidates(organization_id)
    # Only what fits somebody: a batch of tasks that fit nobody would hide all behind it for ever.
    fitting = Q(pk__in=[])
    for candidate in candidates:
        if candidate.running < candidate.limit:
            fitting |= Q(required_tools__contained_by=sorted(candidate.tools))
    assigned = sum(
        _assign(task, candidates, now) for task in _unassigned(organization_id, UNASSIGNED, fitting)
    )
    for task in _unassigned(organization_id, [TaskStatus.PENDING], Q()):
        _save(task, TaskStatus.QUEUED, now)
    if assigned:
        jobs.ring("tasks.claim_tasks")
    return assigned


def _unassigned(organization_id: UUID, statuses: Iterable[str], fitting: Q) -> list[Task]:
    return list(
        Task.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(fitting, organization_id=organization_id, status__in=statuses, agent=None)
        .order_by("priority_rank", "created_at", "pk")[:BATCH]
    )


@transaction.atomic
def _release(now: datetime) -> None:
    """Free the tasks that wait for an agent which was deleted: it will not come."""
    abandoned = (
        Task.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        .filter(status=TaskStatus.ASSIGNED, agent__deleted_at__isnull=False)
        .order_by("pk")[:BATCH]
    )
    for task in list(abandoned):
        task.agent, task.assigned_by = None, ""
        _save(task, TaskStatus.PENDING, now)


def _attempt(sweep: Callable[[Row, datetime], bool], row: Row, now: datetime) -> bool:
    """Sweep one row; one that cannot be swept must not keep the others waiting."""
    try:
        return sweep(row, now)
    except Exception:
        log.exception("tasks.sweep.broke", task_id=str(row[0]))
        return False


class _Candidate:
    """An agent that could take a task, and how full it is."""

    def __init__(self, agent: Agent, running: int) -> None:
        self.agent = agent
        self.running = running
        version = agent.current_version
        self.limit = version.max_concurrent_tasks if version else 0
        self.tools = frozenset(version.usable_tools if version else ())

    @property
    def load(self) -> float:
        """Share of its slots in use; workers' own load joins with the fleet (contract 003 B3)."""
        return self.running / self.limit

    def fits(self, task: Task) -> bool:
        """Whether it has a free slot and the tools."""
        return self.running < self.limit and self.tools.issuperset(task.required_tools)


def _candidates(organization_id: UUID) -> list[_Candidate]:
    agents = (
        Agent.objects.alive()
        .filter(
            organization_id=organization_id,
            is_active=True,
            kind=AgentKind.HOSTED,
            status__in=claims.READY,
        )
        .alias(disabled_by=disabling_override())
        .filter(disabled_by=None)
        .select_related("current_version")
        .order_by("pk")
    )
    held = Q(status__in=[TaskStatus.IN_PROGRESS, TaskStatus.ASSIGNED])
    load = dict(
        Task.objects.filter(held, organization_id=organization_id, agent__in=agents)
        .order_by()
        .values_list("agent_id")
        .annotate(count=Count("pk"))
    )
    return [_Candidate(agent, load.get(agent.pk, 0)) for agent in agents]


def _assign(task: Task, candidates: list[_Candidate], now: datetime) -> bool:
    fitting = [candidate for candidate in candidates if candidate.fits(task)]
    if not fitting:
        return False
    best = min(fitting, key=lambda candidate: candidate.load)
    best.running += 1
    task.agent, task.assigned_by = best.agent, "system"
    _save(task, TaskStatus.ASSIGNED, now)
    return True


def _save(task: Task, status: TaskStatus, now: datetime) -> None:
    before = task.status
    task.status, task.updated_at = status, now
    task.save(update_fields=["agent", "status", "assigned_by", "updated_at"])
    records.moved(task, before, SYSTEM, now)


def wake_put_off(organization_id: UUID, breaker: str, now: datetime) -> None:
    """Let tasks run now that wait for a breaker; a hook of `breakers.operations.switches`."""
    # By what the reason names: an override may have sent the run to any provider.
    reason = Q(error_kind=FailureKind.BREAKER_OPEN, error__contains=f" {breaker} ")
    _wake(reason, organization_id, now)


def wake_unpaid(organization_id: UUID, now: datetime) -> None:
    """Let tasks run now that wait for a budget or a price; a hook of `cost.operations.budgets`."""
    unpaid = (FailureKind.BUDGET_EXHAUSTED, FailureKind.COST_UNPRICED)
    _wake(Q(error_kind__in=unpaid), organization_id, now)


def wake_disabled(organization_id: UUID, override_id: UUID, now: datetime) -> None:
    """Let tasks run now that wait for an agent which the override disabled, their own or one that
    it calls, or nobody knows for which; a hook of `agents.operations.overrides`."""
    run = AgentExecution.objects.filter(pk=OuterRef("resumes_execution_id"))
    is_held_otherwise = Exists(run.exclude(held_by=None).exclude(held_by=override_id))
    reason = Q(~is_held_otherwise, error_kind=FailureKind.AGENT_DISABLED)
    _wake(reason, organization_id, now)


def wake_limited(organization_id: UUID, now: datetime) -> None:
    """Let tasks run now that wait for a limit; a hook of `limits.operations.rules`."""
    _wake(Q(error_kind=FailureKind.RATE_LIMIT), organization_id, now)
    jobs.ring("tasks.claim_tasks")  # those that wait for a place were never put off


@transaction.atomic
def _wake(reason: Q, organization_id: UUID, now: datetime) -> None:
    """Passed over are those that somebody changes just now: they run when their time comes."""
    waiting = Task.objects.filter(
        reason,
        organization_id=organization_id,
        status=TaskStatus.ASSIGNED,
        available_at__gt=now,
    )
    locked = waiting.select_for_update(of=["self"], skip_locked=True, no_key=True).order_by("pk")
    if Task.objects.filter(pk__in=list(locked.values_list("pk", flat=True))).update(
        available_at=now, postponed_count=0, updated_at=now
    ):
        jobs.ring("tasks.claim_tasks")


def _lapsed(now: datetime) -> list[Row]:
    return list(
        Task.objects.filter(status=TaskStatus.IN_PROGRESS, lease_expires_at__lt=now)
        .order_by("lease_expires_at")
        .values_list("pk", "agent_id")[:BATCH]
    )


def _overdue(now: datetime) -> list[Row]:
    return list(
        Task.objects.filter(status__in=WAITING, deadline__lte=now)
        .order_by("deadline")
        .values_list("pk", "agent_id")[:BATCH]
    )


@transaction.atomic
def _lose(row: Row, now: datetime) -> bool:
    """Take a task from a worker that went silent; it counts as a retry, or a task that kills its
    worker would do so for ever."""
    task_id, agent_id = row
    if agent_id:
        Agent.objects.select_for_update(no_key=True).filter(pk=agent_id).first()
    task = (
        Task.objects.select_for_update(no_key=True)
        .filter(pk=task_id, status=TaskStatus.IN_PROGRESS, lease_expires_at__lt=now)
        .first()
    )
    if task is None:
        return False
    endings.fence_off(task, AttemptOutcome.LOST, now)
    if task.retry_count < task.losses_allowed:
        task.retry_count += 1
        task.error, task.error_kind = "The worker stopped answering.", "worker_lost"
        endings.requeue(task, now)
    else:
        endings.fail(
            task,
            "worker_lost",
            "The worker stopped answering each time. Look for what this task does to it.",
            now,
        )
    task.updated_at = now
    task.save()
    endings.rest_agent(task=task, now=now)
    records.moved(task, TaskStatus.IN_PROGRESS, SYSTEM, now, {"reason": "lease lapsed"})
    return True


@transaction.atomic
def _expire(row: Row, now: datetime) -> bool:
    task = (
        Task.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(pk=row[0], status__in=WAITING, deadline__lte=now)
        .first()
    )
    if task is None:
        return False
    before = task.status
    endings.fail(task, "deadline", "The deadline passed before the task could run.", now)
    task.updated_at = now
    task.save()
    records.moved(task, before, SYSTEM, now, {"reason": "deadline"})
    return True
