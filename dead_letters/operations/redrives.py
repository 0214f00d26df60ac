"""What people do with dead letters: add, put back to work, remove (contract 003 B16)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from audit import operations as audit
from dead_letters import selectors
from dead_letters.choices import REDRIVE_CAP, LetterStatus
from dead_letters.errors import AlreadyDead, AlreadyRedriven, LetterNotFound, TaskNotDead
from dead_letters.models import DeadLetter
from dead_letters.operations import arrivals
from kernel.actors import Actor
from kernel.errors import Conflict
from tasks.choices import OPEN, TaskStatus
from tasks.errors import TaskNotFailed
from tasks.models import Task
from tasks.operations import redrives, requests

ENDED: Final = "The task is {}. Only one that failed, or has not ended, can be a dead letter."


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many went back to work, and whether any are left of those that were asked for."""

    count: int
    has_more: bool


@transaction.atomic
def add_letter(
    *, organization_id: UUID, task_id: UUID, reason: str, actor: Actor, now: datetime
) -> DeadLetter:
    """Make a dead letter of a failed task, or with a reason of one that has not ended: it fails.

    Raises TaskNotFound, TaskNotDead, or AlreadyDead.
    """
    task = requests.lock_task(organization_id=organization_id, task_id=task_id)
    if reason and task.status in OPEN:
        task = redrives.give_up_task(
            organization_id=organization_id, task_id=task_id, reason=reason, actor=actor, now=now
        )
    if task.status != TaskStatus.FAILED:
        raise TaskNotDead() if task.status in OPEN else TaskNotDead(ENDED.format(task.status))
    if _rows(organization_id).filter(task=task, status=LetterStatus.OPEN).exists():
        raise AlreadyDead
    arrivals.arrive([task], now, reason=reason)
    _record(task, "dead_letter.add", actor, now, {"reason": reason})
    return selectors.get_letter(organization_id=organization_id, task_id=task_id)


@transaction.atomic
def redrive_letter(
    *, organization_id: UUID, task_id: UUID, actor: Actor, now: datetime
) -> DeadLetter:
    """Put one back to work as if it were new; the letter keeps its history.

    Raises LetterNotFound, or AlreadyRedriven for whoever comes second.
    """
    selectors.get_letter(organization_id=organization_id, task_id=task_id)
    try:
        task = redrives.redrive_task(
            organization_id=organization_id, task_id=task_id, actor=actor, now=now
        )
    except TaskNotFailed:
        raise AlreadyRedriven from None
    # Found again under the task's lock: it may have been removed while that was waited for.
    letter = selectors.get_letter(organization_id=organization_id, task_id=task_id)
    _record(task, "dead_letter.redrive", actor, now, {"redrive_count": letter.redrive_count})
    return letter


def redrive_letters(
    *, organization_id: UUID, actor: Actor, now: datetime, **filters: Any
) -> Redriven:
    """Put up to 100 back to work, those that wait longest first, each in its own transaction.

    `filters` are lookups such as `group`. Those that somebody else redrives or removes at this
    moment are passed over.
    """
    rows = selectors.list_letters(organization_id=organization_id).filter(**filters)
    oldest = rows.order_by("last_failed_at", "pk").values_list("task_id", flat=True)
    found = list(oldest[: REDRIVE_CAP + 1])
    count = 0
    for task_id in found[:REDRIVE_CAP]:
        try:
            redrive_letter(organization_id=organization_id, task_id=task_id, actor=actor, now=now)
        except (Conflict, LetterNotFound):
            continue
        count += 1
    return Redriven(count, has_more=len(found) > REDRIVE_CAP)


@transaction.atomic
def remove_letter(*, organization_id: UUID, task_id: UUID, actor: Actor, now: datetime) -> None:
    """Take one out of the list; its task stays failed. Raises LetterNotFound."""
    task = requests.lock_task(organization_id=organization_id, task_id=task_id)
    removed = (
        _rows(organization_id)
        .filter(task=task, status=LetterStatus.OPEN)
        .update(status=LetterStatus.REMOVED, updated_at=now)
    )
    if not removed:
        raise LetterNotFound
    _record(task, "dead_letter.remove", actor, now, {})


def _rows(organization_id: UUID) -> Any:
    return DeadLetter.objects.filter(organization_id=organization_id)


def _record(task: Task, action: str, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    audit.record(
        actor=actor,
        organization_id=task.organization_id,
        action=action,
        resource_type="task",
        resource_id=task.pk,
        details={"title": task.title, **details},
        now=now,
    )
