"""Taking tasks: a batch at a time, each with a lease and a fencing token."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from agents.choices import AgentStatus, ExecutionSource
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import executions, registry, resumption
from kernel import batches, ids
from kernel.actors import Actor
from tasks.choices import TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.operations import concurrency, records
from tasks.operations.concurrency import Asked

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


def claim_tasks(*, worker: str, limit: int, lease: timedelta, now: datetime) -> list[Claim]:
    """Take up to `limit` assigned tasks of agents that are ready and below their own limit.

    Locks limits, agents, then tasks. With an agent locked nobody else can claim for it, which is
    what makes `max_concurrent_tasks` exact; the running ones are counted from their rows. One that
    somebody else locks for over a second is passed over: the others need not wait, and a lease
    that begins at `now` must not be old when it is written.
    """
    try:
        return _claim(worker, limit, lease, now, skip_locked=False)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        return _claim(worker, limit, lease, now, skip_locked=True)


@transaction.atomic
def _claim(
    worker: str, limit: int, lease: timedelta, now: datetime, *, skip_locked: bool
) -> list[Claim]:
    asked = _claimable(limit, now)
    if not asked:
        return []
    limited = [each for each in asked if each.is_limited]
    rules = concurrency.lock_rules(asked=limited, skip_locked=skip_locked) if limited else {}
    agents = _lock_agents({each.agent_id for each in asked}, skip_locked=skip_locked)
    fitting = concurrency.fit(asked=asked, rules=rules, agents=agents)
    tasks = _take([(each.task_id, each.agent_id) for each in fitting], agents, lease, now)
    if not tasks:
        return []
    with batches.together():
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
    return bool(_claimable(1, now))


# Agent by agent, so that one which is full costs nothing, however much waits for it; the inner
# part reads `task_claimable` in its order and stops at the room that is left. Locks asked for later
# in the transaction are waited for a second at most. Of organizations that limit what runs at once
# nothing is found here: `concurrency` looks among theirs, and costs the others nothing.
_CLAIMABLE: Final = """
WITH limited AS MATERIALIZED (
    SELECT DISTINCT organization_id FROM limits_limitrule WHERE max_concurrent IS NOT NULL
), running AS (
    SELECT agent_id, count(*) AS number FROM tasks_task
    WHERE status = 'in_progress' GROUP BY agent_id
), ready AS (
    SELECT agent.id, agent.organization_id,
        version.max_concurrent_tasks - coalesce(running.number, 0) AS room
    FROM agents_agent AS agent
    JOIN agents_agentversion AS version ON version.id = agent.current_version_id
    LEFT JOIN running ON running.agent_id = agent.id
    WHERE agent.is_active AND agent.deleted_at IS NULL AND agent.kind = 'hosted'
    AND agent.status IN ('idle', 'busy') AND NOT EXISTS (
        SELECT FROM agents_agentoverride AS override
        WHERE override.organization_id = agent.organization_id
        AND override.agent_name = agent.name
        AND override.deleted_at IS NULL AND NOT override.enabled
    ) AND NOT EXISTS (
        SELECT FROM limited WHERE limited.organization_id = agent.organization_id
    )
), found AS (
    SELECT waiting.*, ready.id AS agent_id, ready.organization_id
    FROM ready CROSS JOIN LATERAL (
        SELECT task.priority_rank, task.available_at, task.id FROM tasks_task AS task
        WHERE task.agent_id = ready.id AND task.status = 'assigned'
        AND task.available_at <= %(now)s AND (task.deadline IS NULL OR task.deadline > %(now)s)
        ORDER BY task.priority_rank, task.available_at, task.id
        LIMIT greatest(0, least(ready.room, %(limit)s))
    ) AS waiting
    ORDER BY waiting.priority_rank, waiting.available_at, waiting.id LIMIT %(limit)s
)
SELECT EXISTS (SELECT FROM limited), found.*, set_config('lock_timeout', '1s', true)
FROM (VALUES (1)) AS one LEFT JOIN found ON true
"""


def _claimable(limit: int, now: datetime) -> list[Asked]:
    """Up to `limit` tasks of agents with room as it looks now, the most urgent first."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIMABLE, {"now": now, "limit": limit})
        rows = cursor.fetchall()
    found = [Asked(row[1:4], row[4], row[5]) for row in rows if row[4] is not None]
    if rows[0][0]:
        found += concurrency.ask(limit=limit, now=now)
        found.sort(key=lambda each: each.order)
    return found[:limit]


# In the order of their ids, as everybody locks them: no deadlock. An override that disables an
# agent while its lock is waited for is found by the run itself.
_LOCK: Final = """
SELECT id, organization_id, name, status, current_version_id FROM agents_agent AS agent
WHERE id = ANY(%s::uuid[]) AND is_active AND deleted_at IS NULL AND status IN ('idle', 'busy')
AND NOT EXISTS (
    SELECT FROM agents_agentoverride AS override
    WHERE override.organization_id = agent.organization_id AND override.agent_name = agent.name
    AND override.deleted_at IS NULL AND NOT override.enabled
)
ORDER BY id FOR NO KEY UPDATE
"""


def _lock_agents(agent_ids: set[UUID], *, skip_locked: bool) -> dict[UUID, Agent]:
    """Those of the agents that are ready, with the versions that they have now."""
    lock = _LOCK + "SKIP LOCKED" if skip_locked else _LOCK
    agents = {agent.pk: agent for agent in Agent.objects.raw(lock, [list(agent_ids)])}
    # Read after the locks: a join would show the version from before the wait.
    versions = registry.load_versions({agent.current_version_id for agent in agents.values()})
    for agent in agents.values():
        agent.current_version = versions.get(agent.current_version_id)
    return agents


# Everything is looked at again, because it may have changed while the agents' locks were waited
# for: their running tasks are counted, and a task that went to another agent is left alone.
# A third of the time of loading a task would go into the columns that are not returned.
_TAKE: Final = """
WITH running AS MATERIALIZED (
    SELECT agent_id, count(*) AS number FROM tasks_task
    WHERE agent_id = ANY(%(agents)s::uuid[]) AND status = 'in_progress' GROUP BY agent_id
)
UPDATE tasks_task AS task SET
    status = 'in_progress', fencing_token = task.fencing_token + 1,
    attempt_count = task.attempt_count + 1, lease_expires_at = %(until)s,
    started_at = coalesce(task.started_at, %(now)s), updated_at = %(now)s
FROM (
    SELECT waiting.id FROM tasks_task AS waiting
    JOIN unnest(%(tasks)s::uuid[], %(agents)s::uuid[], %(places)s::int[], %(limits)s::int[])
        AS chosen(task_id, agent_id, place, most)
    ON waiting.id = chosen.task_id AND waiting.agent_id = chosen.agent_id
    LEFT JOIN running ON running.agent_id = chosen.agent_id
    WHERE waiting.status = 'assigned' AND waiting.available_at <= %(now)s
    AND coalesce(running.number, 0) + chosen.place <= chosen.most
    FOR NO KEY UPDATE OF waiting SKIP LOCKED
) AS locked
WHERE task.id = locked.id
RETURNING task.id, task.updated_at, task.organization_id, task.agent_id, task.title,
    task.description, task.instructions, task.priority, task.priority_rank, task.status,
    task.deadline, task.retry_count, task.error, task.progress_percent, task.cost_tokens,
    task.cost_usd, task.available_at, task.attempt_count, task.fencing_token,
    task.resumes_execution_id, task.source, task.user_id, task.output_schema, task.conversation_id,
    task.concurrency_key, task.pinned_version_id, task.author_ids
"""


def _take(
    asked: Sequence[tuple[UUID, UUID]], agents: dict[UUID, Agent], lease: timedelta, now: datetime
) -> list[Task]:
    """Lease those of the asked `(task, agent)` for which the locked agent has room.

    The most urgent come first. Without those that somebody else took or locks.
    """
    places: Counter[UUID] = Counter()
    chosen: list[tuple[UUID, UUID, int, int]] = []
    for task_id, agent_id in asked:
        version = agents[agent_id].current_version if agent_id in agents else None
        if version is not None:
            places[agent_id] += 1
            chosen.append((task_id, agent_id, places[agent_id], version.max_concurrent_tasks))
    if not chosen:
        return []
    columns = zip(("tasks", "agents", "places", "limits"), zip(*chosen, strict=True), strict=True)
    given = {"until": now + lease, "now": now, **{name: list(column) for name, column in columns}}
    taken = Task.objects.raw(_TAKE, given)
    return sorted(taken, key=lambda task: (task.priority_rank, task.available_at, task.pk))


def _open_attempts(
    tasks: list[Task], agents: dict[UUID, Agent], worker: str, now: datetime
) -> list[Claim]:
    attempts = [
        TaskAttempt(
            id=ids.new(),
            organization_id=task.organization_id,
            task=task,
            number=task.attempt_count,
            version=_version_of(task, agents),
            fencing_token=task.fencing_token,
            worker=worker,
            created_at=now,
            updated_at=now,
        )
        for task in tasks
    ]
    batches.insert(attempts)
    resumed = _resumed(tasks)
    opened = executions.open_executions(
        openings=[
            executions.Opening(
                version=attempt.version,
                agent_name=_agent_of(attempt.task, agents).name,
                input=attempt.task.prompt,
                task_id=attempt.task_id,
                attempt_id=attempt.pk,
                user_id=attempt.task.user_id,
                author_ids=attempt.task.author_ids,
                resumed_from_id=resumed.get(attempt.task_id),
                source=ExecutionSource(attempt.task.source),
                conversation_id=attempt.task.conversation_id,
                output_schema=attempt.task.output_schema,
                concurrency_key=attempt.task.concurrency_key,
            )
            for attempt in attempts
        ],
        now=now,
    )
    registry.set_busy(agents=[_agent_of(task, agents) for task in tasks], now=now)
    claimer = Actor(type="system", id="worker", label=worker)
    records.moved_all(
        [
            records.Move(task, TaskStatus.ASSIGNED, claimer, {"attempt": task.attempt_count})
            for task in tasks
        ],
        now,
    )
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


def _resumed(tasks: Sequence[Task]) -> dict[UUID, UUID | None]:
    """From which run each of those goes on that began before; no query if none did."""
    last = {task.pk: task.resumes_execution_id for task in tasks if task.resumes_execution_id}
    found = resumption.skip_idle(execution_ids=list(last.values())) if last else {}
    return {task_id: found[run_id] for task_id, run_id in last.items()}


def _version_of(task: Task, agents: dict[UUID, Agent]) -> AgentVersion | None:
    """The one that its fork asked for, unless the task went to another agent; else the current."""
    agent = _agent_of(task, agents)
    if task.pinned_version_id is None:
        return agent.current_version
    pinned = registry.load_versions({task.pinned_version_id})[task.pinned_version_id]
    return pinned if pinned.agent_id == agent.pk else agent.current_version


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
