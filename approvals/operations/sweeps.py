"""What is found again by looking: approvals whose time ran out."""

from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import DatabaseError

from approvals.choices import ApprovalStatus
from approvals.models import Approval
from approvals.operations import decisions
from kernel.errors import DomainError

log = structlog.get_logger(__name__)
BATCH: Final = 200


def expire_due(*, now: datetime) -> int:
    """End what nobody decided in time, each in a transaction of its own; how many that was."""
    due = Approval.objects.filter(status=ApprovalStatus.PENDING, expires_at__lte=now)
    rows = due.order_by("expires_at", "pk").values_list("organization_id", "pk")[:BATCH]
    return sum(_expire(organization_id, approval_id, now) for organization_id, approval_id in rows)


def _expire(organization_id: UUID, approval_id: UUID, now: datetime) -> bool:
    try:
        return decisions.expire(organization_id=organization_id, approval_id=approval_id, now=now)
    except (DomainError, DatabaseError) as error:
        # Those behind it must not wait for ever; the next sweep comes back to this one.
        log.warning(
            "approvals.approval.not_expired",
            approval_id=str(approval_id),
            error=type(error).__name__,
        )
        return False
