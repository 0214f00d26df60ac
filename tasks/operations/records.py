"""What is written beside every change of a task: the audit row and the event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from audit import operations as audit
from events import operations as events
from kernel import batches
from kernel.actors import Actor
from tasks.choices import TaskStatus
from tasks.models import Task

ENDINGS: Final[Mapping[str, str]] = {
    TaskStatus.COMPLETED: "task.completed",
    TaskStatus.FAILED: "task.failed",
}
ACTIONS: Final[Mapping[str, str]] = {
    TaskStatus.CANCELLED: "task.cancel",
    TaskStatus.COMPLETED: "task.complete",
    TaskStatus.FAILED: "task.fail",
    TaskStatus.IN_PROGRESS: "task.start",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A task that went from status `before` to its present one, and who moved it."""

    task: Task
    before: str
    actor: Actor
    details: Mapping[str, Any] = field(default_factory=dict)


# Called with the moves and `now`, in their transaction; apps above that keep something in step with
# tasks append themselves in `AppConfig.ready`.
MOVED: Final[list[Callable[[Sequence[Move], datetime], None]]] = []


def moved(
    task: Task,
    before: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record that `task` went from status `before` to its present one."""
    moved_all([Move(task, before, actor, details or {})], now)


def moved_all(moves: Sequence[Move], now: datetime) -> None:
    """An audit row and an event for each move, in one statement."""
    entries = [
        audit.Entry(
            actor=move.actor,
            organization_id=move.task.organization_id,
            action=ACTIONS.get(move.task.status, "task.update"),
            resource_type="task",
            resource_id=move.task.pk,
            details={"from": move.before, "to": move.task.status, **move.details},
        )
        for move in moves
    ]
    with batches.together():
        audit.record_all(entries=entries, now=now)
        for hook in MOVED:
            hook(moves, now)
        _publish([(ENDINGS.get(m.task.status, "task.updated"), m.task) for m in moves], now)


def note(
    task: Task,
    action: str,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any],
) -> None:
    """One audit row and one event, in the caller's transaction."""
    with batches.together():
        audit.record(
            actor=actor,
            organization_id=task.organization_id,
            action=action,
            resource_type="task",
            resource_id=task.pk,
            details=details,
            now=now,
        )
        _publish([(event, task)], now)


def created(tasks: Sequence[Task], *, actor: Actor, now: datetime) -> None:
    """An audit row and an event for each new task."""
    audit.record_all(
        entries=[
            audit.Entry(
                actor=actor,
                organization_id=task.organization_id,
                action="task.create",
                resource_type="task",
                resource_id=task.pk,
                details={"title": task.title},
            )
            for task in tasks
        ],
        now=now,
    )
    _publish([("task.created", task) for task in tasks], now)


def _publish(happened: Sequence[tuple[str, Task]], now: datetime) -> None:
    events.publish_all(
        messages=[
            events.Message(task.organization_id, event, shown(task)) for event, task in happened
        ],
        now=now,
    )


def shown(task: Task) -> dict[str, Any]:
    """The task as events carry it: enough to update a list, never its contents."""
    return {
        "id": task.pk,
        "title": task.title,
        "status": task.status,
        "priority": task.priority,
        "agent_id": task.agent_id,
        "progress_percent": task.progress_percent,
        "retry_count": task.retry_count,
        "error": task.error,
        "cost_tokens": task.cost_tokens,
        "cost_usd": f"{Decimal(task.cost_usd):f}",
        "updated_at": task.updated_at,
    }
