"""Deciding: votes, the quorum, and time that runs out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from accounts.models import User
from approvals import selectors
from approvals.choices import DECIDE, ApprovalStatus, Decision
from approvals.errors import (
    AlreadyDecided,
    AlreadyVoted,
    ApprovalExpired,
    ApprovalNotFound,
    NotAnApprover,
    OwnRequest,
)
from approvals.models import Approval, Vote
from approvals.operations import records
from kernel.actors import SYSTEM, Actor
from kernel.errors import Conflict, Forbidden, Invalid

# Called in the transaction in which an approval was approved, rejected or expired, with its locked
# and saved row and now; whoever waits for it appends themselves in `AppConfig.ready`.
DECIDED: Final[list[Callable[[Approval, datetime], None]]] = []
# Called before the row is locked: who locks rows of their own in DECIDED, or locks them before
# `requests.cancel_of_task`, locks them here, so that both go in one order.
BEFORE: Final[list[Callable[[Approval], None]]] = []


@dataclass(frozen=True, slots=True)
class _Ballot:
    """One person's vote, as it comes in."""

    decision: Decision
    text: str
    user: User
    actor: Actor
    now: datetime


def approve(
    *,
    organization_id: UUID,
    approval_id: UUID,
    actor: Actor,
    user: User,
    note: str = "",
    now: datetime,
) -> Approval:
    """Vote for it; the vote that completes the quorum approves it.

    Raises ApprovalNotFound; OwnRequest, NotAnApprover or Forbidden by the rights of this moment;
    ApprovalExpired, AlreadyDecided or AlreadyVoted.
    """
    ballot = _Ballot(Decision.APPROVE, note.strip(), user, actor, now)
    return _vote(organization_id, approval_id, ballot)


def reject(
    *,
    organization_id: UUID,
    approval_id: UUID,
    actor: Actor,
    user: User,
    reason: str,
    now: datetime,
) -> Approval:
    """Vote against it: one such vote rejects it. Raises what `approve` does.

    Without a reason: Invalid.
    """
    if not reason.strip():
        raise Invalid.field("reason", "Say why.", type="required")
    ballot = _Ballot(Decision.REJECT, reason.strip(), user, actor, now)
    return _vote(organization_id, approval_id, ballot)


@transaction.atomic
def expire(*, organization_id: UUID, approval_id: UUID, now: datetime) -> bool:
    """End an approval that nobody decided in time; whether this call did."""
    approval = _lock(organization_id, approval_id)
    is_due = approval.status == ApprovalStatus.PENDING and approval.expires_at <= now
    if is_due:
        _expire(approval, now)
    return is_due


def _vote(organization_id: UUID, approval_id: UUID, ballot: _Ballot) -> Approval:
    approval, refusal = _cast(organization_id, approval_id, ballot)
    if refusal is not None:
        raise refusal  # outside of the transaction, which may have let it expire
    return approval


@transaction.atomic
def _cast(
    organization_id: UUID, approval_id: UUID, ballot: _Ballot
) -> tuple[Approval, Conflict | None]:
    approval = _lock(organization_id, approval_id)
    _check_voter(approval, ballot.user)
    if approval.status_at(now=ballot.now) == ApprovalStatus.EXPIRED:
        if approval.status == ApprovalStatus.PENDING:
            _expire(approval, ballot.now)
        return approval, ApprovalExpired()
    if approval.status != ApprovalStatus.PENDING:
        return approval, AlreadyDecided(
            f"This approval was {approval.status} already. Reload it to see how."
        )
    if Vote.objects.filter(approval_id=approval.pk, user_id=ballot.user.pk).exists():
        return approval, AlreadyVoted()
    _count(approval, ballot)
    return approval, None


def _count(approval: Approval, ballot: _Ballot) -> None:
    """Write the vote; its approval is locked, so nobody counts at the same time."""
    Vote.objects.create(
        organization_id=approval.organization_id,
        approval=approval,
        user=ballot.user,
        decision=ballot.decision,
        note=ballot.text,
        created_at=ballot.now,
        updated_at=ballot.now,
    )
    needed = approval.terms.min_approvals
    cast = list(Vote.objects.filter(approval_id=approval.pk, decision=Decision.APPROVE))
    votes = selectors.count_votes(cast, selectors.find_deciders(approval=approval))
    said = {"votes": votes, "needed": needed}
    if ballot.decision == Decision.REJECT:
        approval.rejection_reason = ballot.text
        _decide(approval, ApprovalStatus.REJECTED, ballot)
        records.record(
            approval, action="approval.reject", actor=ballot.actor, now=ballot.now, details=said
        )
        return
    if votes >= needed:
        approval.decision_note = ballot.text
        _decide(approval, ApprovalStatus.APPROVED, ballot)
    records.record(
        approval,
        action="approval.approve",
        actor=ballot.actor,
        now=ballot.now,
        details={**said, "status": str(approval.status)},
    )


def _decide(approval: Approval, status: ApprovalStatus, ballot: _Ballot) -> None:
    approval.decided_by = ballot.user
    _leave_pending(approval, status, ballot.now)


def _expire(approval: Approval, now: datetime) -> None:
    _leave_pending(approval, ApprovalStatus.EXPIRED, now)
    records.record(approval, action="approval.expire", actor=SYSTEM, now=now)


def _leave_pending(approval: Approval, status: ApprovalStatus, now: datetime) -> None:
    approval.status, approval.decided_at, approval.updated_at = status, now, now
    approval.save(
        update_fields=[
            "status",
            "decided_by",
            "decided_at",
            "decision_note",
            "rejection_reason",
            "updated_at",
        ]
    )
    records.announce_end(approval, now=now)
    for hook in DECIDED:
        hook(approval, now)


def _lock(organization_id: UUID, approval_id: UUID) -> Approval:
    seen = selectors.get_approval(organization_id=organization_id, approval_id=approval_id)
    for hook in BEFORE:
        hook(seen)
    rows = Approval.objects.filter(organization_id=organization_id, pk=approval_id)
    approval = rows.select_for_update(no_key=True).first()
    if approval is None:
        raise ApprovalNotFound
    return approval


def _check_voter(approval: Approval, user: User) -> None:
    """By what the database says now: whoever logged in may have lost a role since."""
    if selectors.find_deciders(approval=approval, user_id=user.pk):
        return
    if approval.is_own(user_id=user.pk):
        raise OwnRequest
    if user.may(DECIDE, approval.scope):
        raise NotAnApprover
    raise Forbidden(
        f"This needs the permission `{DECIDE}`. Ask an administrator for it.",
        data={"permission": DECIDE},
    )
