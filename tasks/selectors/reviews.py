"""What a task in review waits for: people who allow a call, or somebody who looks at it."""

from datetime import datetime
from uuid import UUID

from agents.runtime.spec import FailureKind
from approvals.models import Approval
from approvals.selectors import explain_shortages, list_pending
from tasks.choices import ReasonCode, TaskStatus
from tasks.models import Task
from tasks.selectors.reasons import Reason


def explain_review(*, task: Task) -> list[Reason]:
    """Why a task in review is not done. While people are asked about a call, that is all."""
    asked = _list_asked(task) if task.error_kind == FailureKind.APPROVAL_PENDING else []
    if not asked:
        return [_review(task)]
    shortages = explain_shortages(approvals=asked)
    return [_asked(approval, shortages.get(approval.pk, "")) for approval in asked]


def find_asked(*, task: Task, now: datetime) -> UUID | None:
    """The approval that a task in review waits for first; None if nobody can decide about any."""
    if task.status != TaskStatus.REVIEW or task.error_kind != FailureKind.APPROVAL_PENDING:
        return None
    rows = list_pending(organization_id=task.organization_id, task_id=task.pk)
    return rows.filter(expires_at__gt=now).values_list("pk", flat=True).first()


def shortage_of(*, task: Task) -> str:
    """A sentence if too few people may allow a call that the task waits for; else empty."""
    if task.error_kind != FailureKind.APPROVAL_PENDING:
        return ""
    shortages = explain_shortages(approvals=_list_asked(task))
    return next(iter(shortages.values()), "")


def _list_asked(task: Task) -> list[Approval]:
    return list(list_pending(organization_id=task.organization_id, task_id=task.pk))


def _asked(approval: Approval, shortage: str) -> Reason:
    return Reason(
        ReasonCode.WAITING_FOR_APPROVAL,
        f"Somebody has to approve or reject {approval.action}. {shortage}".rstrip(),
        "approval",
        approval.pk,
        since=approval.created_at,
        until=approval.expires_at,
    )


def _review(task: Task) -> Reason:
    why = task.error or "The task was put up for review."
    message = (
        f"{why} Set its status to in_progress to let the work go on,"
        " or to completed, failed or cancelled to end it."
    )
    run = task.resumes_execution_id
    code, since = ReasonCode.WAITING_FOR_PERSON, task.updated_at
    if run is None:
        return Reason(code, message, "task", task.pk, since=since)
    return Reason(code, message, "execution", run, since=since)
