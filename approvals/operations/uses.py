"""Using an approval: once, and for exactly what was approved."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from approvals.choices import ApprovalStatus
from approvals.models import Approval
from approvals.operations import records
from kernel.actors import Actor


@transaction.atomic
def consume(*, organization_id: UUID, approval_id: UUID, binding: str, now: datetime) -> bool:
    """Use an approval up, in the caller's transaction; whether it was there to be used.

    False for one that nobody approved, that was used, or that is bound to something else. Whoever
    locks the task or the execution in the same transaction does so before.
    """
    rows = Approval.objects.filter(
        organization_id=organization_id,
        pk=approval_id,
        binding=binding,
        status=ApprovalStatus.APPROVED,
        used_at=None,
    )
    if not rows.update(used_at=now, updated_at=now):
        return False
    approval = Approval.objects.get(pk=approval_id)
    agent = "" if approval.agent_id is None else str(approval.agent_id)
    actor = Actor(type="agent" if agent else "system", id=agent, organization_id=organization_id)
    records.record(approval, action="approval.use", actor=actor, now=now)
    return True
