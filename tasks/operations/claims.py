"""Taking tasks: a batch at a time, each with a lease and a fencing token."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import (
    Count,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    prefetch_related_objects,
)
from django.db.models.functions import Coalesce

from agents.choices import AgentKind, AgentStatus
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import executions, registry
from kernel import ids
from kernel.actors import Actor
from tasks.choices import TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.operations import records

READY: Final = (AgentStatus.IDLE, AgentStatus.BUSY)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt until its lease lapses, unless somebody takes it over."""

    organization_id: UUID
    agent_id: UUID
    task_id: UUID
    attempt_id: UUID
    fencing_token: int
    version: AgentVersion
    execution: AgentExecution
    deadline: datetime | None


@transaction.atomic
def claim_tasks(*, worker: str, limit: int, lease: timedelta, now: datetime) -> list[Claim]:
    """Take up to `limit` assigned tasks of agents that are ready and below their own limit.

    Locks agents, then tasks. With an agent locked nobody else can claim for it, which is what
    makes `max_concurrent_tasks` exact; the running ones are counted from their rows.
    """
    asked = list(_claimable(now).values_list("pk", "agent_id")[:limit])
    if not asked:
        return []
    agents = _lock_agents({agent_id for _, agent_id in asked})
    chosen = _within_limits(asked, agents)
    locked = (
        Task.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(pk__in=chosen, status=TaskStatus.ASSIGNED, available_at__lte=now)
        .order_by("priority_rank", "available_at", "pk")
    )
    # While we waited for its agent, a task may have gone to another one.
    tasks = [task for task in locked if task.agent_id == chosen[task.pk]]
    if not tasks:
        return []
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(
        status=TaskStatus.IN_PROGRESS,
        fencing_token=F("fencing_token") + 1,
        attempt_count=F("attempt_count") + 1,
        lease_expires_at=now + lease,
        started_at=Coalesce(F("started_at"), Value(now)),
        updated_at=now,
    )
    return _open_attempts(tasks, agents, worker, now)


def renew_leases(*, held: Sequence[tuple[UUID, int]], lease: timedelta, now: datetime) -> set[UUID]:
    """Prolong the leases on `(task id, fencing token)` in one statement; the ids still held."""
    return _held(
        "UPDATE tasks_task AS task SET lease_expires_at = %s"
        " FROM unnest(%s::uuid[], %s::bigint[]) AS held(id, token)"
        " WHERE task.id = held.id AND task.fencing_token = held.token"
        " AND task.status = 'in_progress' RETURNING task.id",
        [now + lease],
        held,
    )


def still_held(*, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
    """Which of `(task id, fencing token)` are still this worker's; reads only."""
    return _held(
        "SELECT task.id FROM tasks_task AS task"
        " JOIN unnest(%s::uuid[], %s::bigint[]) AS held(id, token)"
        " ON task.id = held.id AND task.fencing_token = held.token"
        " AND task.status = 'in_progress'",
        [],
        held,
    )


def is_claimable_waiting(*, now: datetime) -> bool:
    """Whether any task could be claimed right now."""
    return _claimable(now).exists()


def _claimable(now: datetime) -> QuerySet[Task]:
    running = (
        Task.objects.filter(agent=OuterRef("agent"), status=TaskStatus.IN_PROGRESS)
        .order_by()
        .values("agent")
        .annotate(count=Count("pk"))
        .values("count")
    )
    return (
        Task.objects.filter(
            Q(deadline=None) | Q(deadline__gt=now),
            status=TaskStatus.ASSIGNED,
            available_at__lte=now,
            agent__is_active=True,
            agent__deleted_at=None,
            agent__kind=AgentKind.HOSTED,
            agent__status__in=READY,
        )
        .annotate(agent_running=Coalesce(Subquery(running), 0))
        .filter(agent_running__lt=F("agent__current_version__max_concurrent_tasks"))
        .order_by("priority_rank", "available_at", "pk")
    )


def _lock_agents(agent_ids: set[UUID]) -> dict[UUID, Agent]:
    rows = list(
        Agent.objects.select_for_update(no_key=True)
        .filter(pk__in=agent_ids, is_active=True, deleted_at=None, status__in=READY)
        .order_by("pk")  # one order for all claimers: no deadlock
    )
    # Read after the locks: a join would show the version from before the wait.
    prefetch_related_objects(rows, "current_version")
    return {agent.pk: agent for agent in rows}


def _within_limits(
    asked: Sequence[tuple[UUID, UUID]], agents: dict[UUID, Agent]
) -> dict[UUID, UUID]:
    """Those of the asked `(task, agent)` for which their agent has room."""
    taken = Counter(
        Task.objects.filter(agent__in=agents, status=TaskStatus.IN_PROGRESS).values_list(
            "agent_id", flat=True
        )
    )
    chosen: dict[UUID, UUID] = {}
    for task_id, agent_id in asked:
        agent = agents.get(agent_id)
        if agent is None or agent.current_version is None:
            continue
        if taken[agent.pk] < agent.current_version.max_concurrent_tasks:
            taken[agent.pk] += 1
            chosen[task_id] = agent.pk
    return chosen


def _open_attempts(
    tasks: list[Task], agents: dict[UUID, Agent], worker: str, now: datetime
) -> list[Claim]:
    attempts = [
        TaskAttempt(
            id=ids.new(),
            organization_id=task.organization_id,
            task=task,
            number=task.attempt_count + 1,
            version=_agent_of(task, agents).current_version,
            fencing_token=task.fencing_token + 1,
            worker=worker,
            created_at=now,
            updated_at=now,
        )
        for task in tasks
    ]
    TaskAttempt.objects.bulk_create(attempts)
    opened = executions.open_executions(
        openings=[
            executions.Opening(
                version=attempt.version,
                agent_name=_agent_of(attempt.task, agents).name,
                input=attempt.task.prompt,
                task_id=attempt.task_id,
                attempt_id=attempt.pk,
                resumed_from_id=attempt.task.resumes_execution_id,
            )
            for attempt in attempts
        ],
        now=now,
    )
    registry.set_busy(agents=[_agent_of(task, agents) for task in tasks], now=now)
    claimer = Actor(type="system", id=worker[:64], label=worker)
    for task in tasks:
        task.status, task.updated_at = TaskStatus.IN_PROGRESS, now
        records.moved(task, TaskStatus.ASSIGNED, claimer, now, {"attempt": task.attempt_count + 1})
    return [
        Claim(
            organization_id=attempt.organization_id,
            agent_id=attempt.version.agent_id,
            task_id=attempt.task_id,
            attempt_id=attempt.pk,
            fencing_token=attempt.fencing_token,
            version=attempt.version,
            execution=execution,
            deadline=attempt.task.deadline,
        )
        for attempt, execution in zip(attempts, opened, strict=True)
    ]


def _agent_of(task: Task, agents: dict[UUID, Agent]) -> Agent:
    if task.agent_id is None:
        raise LookupError(f"Task {task.pk} was claimed without an agent.")
    return agents[task.agent_id]


def _held(sql: str, first: list[Any], held: Sequence[tuple[UUID, int]]) -> set[UUID]:
    if not held:
        return set()
    task_ids, tokens = [list(column) for column in zip(*held, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*first, task_ids, tokens])
        return {row[0] for row in cursor.fetchall()}
