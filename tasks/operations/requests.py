"""What people do to tasks: create, change, cancel, retry (contract 003 B3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from agents.models import Agent
from agents.operations import registry, resumption
from kernel import batches, jobs
from kernel.actors import Actor
from kernel.errors import Conflict, Invalid
from tasks.choices import (
    AWAITED,
    OPEN,
    TRANSITIONS,
    WAITING,
    AttemptOutcome,
    TaskStatus,
)
from tasks.errors import (
    AgentFull,
    RetriesExhausted,
    TaskAwaitsApproval,
    TaskFixed,
    TaskNotCancellable,
    TaskNotFound,
    TransitionRefused,
)
from tasks.models import Task
from tasks.operations import authors, drafts, endings, records
from tasks.selectors import reviews

# A person who says so lets the agent work, again or on.
GOES_ON: Final = frozenset({TaskStatus.PENDING, TaskStatus.IN_PROGRESS})
OWN_WORDS: Final = (
    "Somebody waits for this run, or said it in a conversation of theirs: only they may change what"
    " it is about. Create a task of your own."
)
# What a worker was told when it began is not changed under it.
FIXED_WHEN_RUNNING: Final = frozenset({"title", "description", "instructions", "agent_id"})


@transaction.atomic
def create_task(
    *, organization_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> Task:
    """Write a task; with `agent_id` it is assigned, else pending until an agent fits.

    Raises Invalid for an agent or tool that does not exist or a deadline in the past.
    """
    agents = drafts.find_agents(organization_id, [values.get("agent_id")])
    task = drafts.draft_task(
        organization_id=organization_id, values=values, agents=agents, actor=actor, now=now
    )
    return _write([task], actor, now)[0]


@transaction.atomic
def create_tasks(
    *, organization_id: UUID, values: Sequence[Mapping[str, Any]], actor: Actor, now: datetime
) -> list[Task]:
    """Write tasks, all or none, in as many statements as one takes.

    Raises Invalid with every wrong field of every task: `tasks.<index>.<field>`.
    """
    agents = drafts.find_agents(organization_id, [each.get("agent_id") for each in values])
    tasks: list[Task] = []
    wrong: list[Mapping[str, str]] = []
    for index, each in enumerate(values):
        try:
            task = drafts.draft_task(
                organization_id=organization_id, values=each, agents=agents, actor=actor, now=now
            )
        except Invalid as refused:
            wrong += [{**f, "field": f"tasks.{index}.{f['field']}"} for f in refused.fields]
        else:
            tasks.append(task)
    if wrong:
        raise Invalid(fields=wrong)
    return _write(tasks, actor, now)


@transaction.atomic
def update_task(
    *,
    organization_id: UUID,
    task_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> Task:
    """Change fields of a task; a new status must follow the machine of states.

    Raises TaskNotFound, TaskFixed, TransitionRefused, TaskAwaitsApproval, RetriesExhausted or
    Invalid.
    """
    task = lock_task(organization_id=organization_id, task_id=task_id)
    rest = dict(values)
    status = rest.pop("status", None)
    changes = {k: v for k, v in rest.items() if getattr(task, k) != v}
    before = task.status
    if changes:
        _change(task, changes, actor, now)
    is_moved = status is not None and status != task.status
    if authors.WRITTEN & changes.keys() or (is_moved and status in GOES_ON):
        authors.add_author(task, actor)
    if is_moved:
        _move(task, str(status), now)
    if changes or task.status != before:
        task.updated_at = now
        task.save()
        _settle(task, before, actor, now, {"fields": sorted(changes)})
    return task


@transaction.atomic
def cancel_task(
    *,
    organization_id: UUID,
    task_id: UUID,
    actor: Actor,
    now: datetime,
    why: str = "",
    kind: str = "",
) -> Task:
    """Cancel a task that has not ended; its worker loses the lease. Raises TaskNotCancellable.

    `why`, a sentence, and `kind` (CALLER_GONE, DEADLINE) are kept where no person wished it.
    """
    task = lock_task(organization_id=organization_id, task_id=task_id)
    if task.status not in OPEN:
        raise TaskNotCancellable
    if kind:
        task.error, task.error_kind = why, kind
    return _move_alone(task, TaskStatus.CANCELLED, actor, now, {"reason": kind} if kind else None)


@transaction.atomic
def retry_task(*, organization_id: UUID, task_id: UUID, actor: Actor, now: datetime) -> Task:
    """Put a failed task back to work. Raises TransitionRefused or RetriesExhausted."""
    task = lock_task(organization_id=organization_id, task_id=task_id)
    authors.add_author(task, actor)
    return _move_alone(task, TaskStatus.PENDING, actor, now)


def lock_task(*, organization_id: UUID, task_id: UUID) -> Task:
    """The task, locked after its agent (the order that everybody keeps).

    Raises TaskNotFound, or Conflict when it goes from one agent to another at this moment.
    """
    rows = Task.objects.filter(organization_id=organization_id, pk=task_id)
    seen = rows.values_list("agent_id", flat=True).first()
    if seen is not None:
        Agent.objects.select_for_update(no_key=True).filter(pk=seen).first()
    found = rows.select_for_update(no_key=True).first()
    if found is None:
        raise TaskNotFound
    if found.agent_id not in {None, seen}:
        # Against the order, so without waiting: two that wait for each other would be a deadlock.
        late = Agent.objects.select_for_update(no_key=True, skip_locked=True)
        if not late.filter(pk=found.agent_id).values_list("pk", flat=True):
            raise Conflict
    return found


def _write(tasks: list[Task], actor: Actor, now: datetime) -> list[Task]:
    # Before the bells of the events below: the run is what somebody waits for.
    for bell in {"tasks.claim_tasks" if task.agent_id else "tasks.sweep_tasks" for task in tasks}:
        jobs.ring(bell)
    with batches.together():
        batches.insert(tasks)
        records.created(tasks, actor=actor, now=now)
    return tasks


def _change(task: Task, changes: dict[str, Any], actor: Actor, now: datetime) -> None:
    # Before the state: what none would accept is 422, not 409.
    drafts.check_values(task.organization_id, changes, now)
    agents = drafts.find_agents(task.organization_id, [changes.get("agent_id")])
    agent = drafts.pick_agent(agents, changes.get("agent_id"))
    # The deadline too: the run was given its time when it began.
    if task.status not in WAITING and {*FIXED_WHEN_RUNNING, "deadline"} & changes.keys():
        raise TaskFixed
    if task.status not in OPEN:
        raise TaskFixed
    if authors.WRITTEN & changes.keys() and authors.has_own_words(task, actor):
        raise TaskFixed(OWN_WORDS)
    if "agent_id" in changes:
        _reassign(task, agent, actor)
    if FIXED_WHEN_RUNNING & changes.keys():
        task.resumes_execution_id = None  # another question: the old conversation is none of it
    for name in changes.keys() - {"agent_id"}:
        setattr(task, name, changes[name])
    task.priority_rank = drafts.rank(task.priority)
    jobs.ring("tasks.claim_tasks" if task.agent else "tasks.sweep_tasks")


def _reassign(task: Task, agent: Agent | None, actor: Actor) -> None:
    drafts.check_tools(agent, task.required_tools)
    task.agent = agent
    task.status = TaskStatus.ASSIGNED if task.agent else TaskStatus.PENDING
    task.assigned_by = str(actor) if task.agent else ""


def _move_alone(
    task: Task,
    status: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> Task:
    before = task.status
    _move(task, status, now)
    task.updated_at = now
    task.save()
    _settle(task, before, actor, now, details)
    return task


def _settle(
    task: Task,
    before: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """What follows from the saved task: its agent's status, one audit row, one event."""
    if before == TaskStatus.IN_PROGRESS != task.status:
        endings.rest_agent(task=task, now=now)
    if task.status != before:
        records.moved(task, before, actor, now, details)
    else:
        shown = {"status": task.status, **(details or {})}
        records.note(task, "task.update", "task.updated", actor=actor, now=now, details=shown)


def _move(task: Task, status: str, now: datetime) -> None:
    """Change the status as a person asked; a running worker is fenced off."""
    _check_undecided(task, status, now)
    if status not in TRANSITIONS[task.status]:
        raise TransitionRefused(
            f"A task that is {task.status} cannot become {status}."
            f" Possible: {', '.join(sorted(TRANSITIONS[task.status])) or 'nothing, it has ended'}."
        )
    if status == TaskStatus.ASSIGNED and task.agent is None:
        raise Invalid.field("agent_id", "Name the agent to assign the task to.")
    if task.status == TaskStatus.FAILED and task.retry_count >= task.max_retries:
        raise _exhausted(task)
    if task.status == TaskStatus.IN_PROGRESS:
        endings.fence_off(task, AttemptOutcome.CANCELLED, now)
    _enter(task, status, now)


def _exhausted(task: Task) -> RetriesExhausted:
    if task.source in AWAITED:  # which is no dead letter
        return RetriesExhausted("A direct run is not tried again. Ask the agent anew.")
    return RetriesExhausted(
        "The task has no retries left. Have an administrator retry its dead letter, which begins it"
        f" anew (POST /api/v1/dead-letter/{task.pk}/retry), or create another task with a higher"
        " `max_retries`."
    )


def _check_undecided(task: Task, status: str, now: datetime) -> None:
    """Its agent would come to the same call, and have to wait for the same people."""
    asked = reviews.find_asked(task=task, now=now) if status == TaskStatus.IN_PROGRESS else None
    if asked is not None:
        raise TaskAwaitsApproval(
            f"People are asked about a call of this task. Decide approval {asked}"
            f" (POST /api/v1/approvals/{asked}/approve or /reject), or end the task.",
        )


def _enter(task: Task, status: str, now: datetime) -> None:
    paused = task.resumes_execution_id if task.status == TaskStatus.REVIEW else None
    if paused is not None and status == TaskStatus.IN_PROGRESS:
        # A run that waits for a person goes on by its agent, not by hand.
        resumption.allow_on(execution_id=paused, now=now)
        endings.requeue(task, now)
        return
    task.resumes_execution_id = None
    if status == TaskStatus.PENDING:
        task.retry_count += 1
        task.available_at, task.completed_at = now, None
        if task.agent is not None and task.agent.is_deleted:
            task.agent = None
        # With its agent known it need not wait for one: failed, pending and assigned in one step.
        status = TaskStatus.ASSIGNED if task.agent else TaskStatus.PENDING
        jobs.ring("tasks.claim_tasks" if task.agent else "tasks.sweep_tasks")
    if status == TaskStatus.IN_PROGRESS:
        _occupy(task, now)
        task.started_at = task.started_at or now
    if status in {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}:
        task.completed_at = now
    if status == TaskStatus.COMPLETED:
        task.progress_percent = 100
    if status == TaskStatus.REVIEW:
        task.wait_for_person()
    task.status = status


def _occupy(task: Task, now: datetime) -> None:
    """A task that a person does by hand takes a slot of its agent like any other."""
    if task.agent_id is None:
        raise Invalid.field("agent_id", "Name the agent that works on the task.")
    # Locked before, unless this very request gave the task to it: then not waiting keeps the order.
    free = Agent.objects.select_for_update(no_key=True, skip_locked=True)
    agent = free.filter(pk=task.agent_id).first()
    if agent is None or agent.current_version is None:
        raise Conflict
    running = Task.objects.filter(agent=agent, status=TaskStatus.IN_PROGRESS).count()
    if running >= agent.current_version.max_concurrent_tasks:
        raise AgentFull
    registry.set_busy(agents=[agent], now=now)
