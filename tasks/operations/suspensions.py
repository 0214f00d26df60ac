"""Tasks that wait for people to allow a call: how a decision lets them go on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from agents.runtime.spec import FailureKind
from approvals.models import Approval
from approvals.operations import requests
from approvals.selectors import has_pending
from kernel.actors import SYSTEM
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings, records
from tasks.operations.records import Move

# What ends without an answer of its agent may leave calls that people are still asked about.
LEFT_OPEN: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})
CHANGED: Final = (
    "status",
    "available_at",
    "lease_expires_at",
    "error",
    "error_kind",
    "updated_at",
)


def lock_task(approval: Approval) -> None:
    """Lock the task before its approval, in the order of everybody who locks both; a hook of
    `approvals.operations.decisions`."""
    if approval.task_id is not None and approval.call_id:
        list(_rows(approval).select_for_update(no_key=True))


def go_on(approval: Approval, now: datetime) -> None:
    """Let the task go on that waited for this decision, and for no other, in its transaction.

    One that does not wait yet finds the decision when its run ends (`endings`).
    """
    if approval.task_id is None or not approval.call_id:
        return
    waiting = _rows(approval).filter(
        status=TaskStatus.REVIEW, error_kind=FailureKind.APPROVAL_PENDING
    )
    task = waiting.select_for_update(no_key=True).first()
    if task is None or has_pending(organization_id=task.organization_id, task_id=task.pk):
        return
    endings.requeue(task, now)
    task.error = task.error_kind = ""
    task.updated_at = now
    task.save(update_fields=CHANGED)
    details = {"reason": f"approval {approval.status}", "approval": str(approval.pk)}
    records.moved(task, TaskStatus.REVIEW, SYSTEM, now, details)


def take_back(moves: Sequence[Move], now: datetime) -> None:
    """Ask nobody any more about calls of tasks that ended; a hook of `records`."""
    for move in moves:
        if _is_left(move):
            requests.cancel_of_task(
                organization_id=move.task.organization_id, task_id=move.task.pk, now=now
            )


def _rows(approval: Approval) -> QuerySet[Task]:
    return Task.objects.filter(organization_id=approval.organization_id, pk__in=[approval.task_id])


def _is_left(move: Move) -> bool:
    """Whether people may still be asked. A run that came to its answer has no call open."""
    if move.task.status == TaskStatus.COMPLETED:
        return move.before == TaskStatus.REVIEW
    return move.task.status in LEFT_OPEN
