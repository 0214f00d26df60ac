"""What is written beside every change of a task: the audit row and the event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from audit import operations as audit
from events import operations as events
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


def moved(
    task: Task,
    before: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record that `task` went from status `before` to its present one."""
    note(
        task,
        ACTIONS.get(task.status, "task.update"),
        ENDINGS.get(task.status, "task.updated"),
        actor=actor,
        now=now,
        details={"from": before, "to": task.status, **(details or {})},
    )


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
    audit.record(
        actor=actor,
        organization_id=task.organization_id,
        action=action,
        resource_type="task",
        resource_id=task.pk,
        details=details,
        now=now,
    )
    events.publish(organization_id=task.organization_id, type=event, data=shown(task), now=now)


def created(tasks: Sequence[Task], *, actor: Actor, now: datetime) -> None:
    """An audit row and an event for each new task of one organization, in two statements."""
    organization_id = tasks[0].organization_id
    audit.record_many(
        actor=actor,
        organization_id=organization_id,
        action="task.create",
        resource_type="task",
        resources=[(task.pk, {"title": task.title}) for task in tasks],
        now=now,
    )
    events.publish_many(
        organization_id=organization_id,
        type="task.created",
        data=[shown(task) for task in tasks],
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
