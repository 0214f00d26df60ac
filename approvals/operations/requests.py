"""Asking for an approval, and taking the question back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.models import User
from approvals import selectors
from approvals.choices import ApprovalStatus
from approvals.errors import RuleNotFound
from approvals.models import Approval
from approvals.operations import details as texts
from approvals.operations import records
from kernel import jobs
from kernel.actors import SYSTEM, Actor
from kernel.errors import Invalid

# The title of a task of the organization, None if there is none; the app with the tasks appends
# itself in `AppConfig.ready`.
TITLES: Final[list[Callable[[UUID, UUID], str | None]]] = []


def request_approval(
    *, organization_id: UUID, values: Mapping[str, Any], user_id: UUID, actor: Actor, now: datetime
) -> Approval:
    """A person asks: `action` and `details`, and perhaps `task_id` and `rule_id`.

    Raises Invalid for a task or an active rule that is not there.
    """
    task_id, rule_id = values.get("task_id"), values.get("rule_id")
    if task_id is not None and _title_of(organization_id, task_id) is None:
        raise Invalid.field("task_id", "There is no such task.", type="not_found")
    if rule_id is not None and not _has_rule(organization_id, rule_id):
        raise Invalid.field("rule_id", "There is no such active rule.", type="not_found")
    return open_approval(
        organization_id=organization_id,
        action=values["action"],
        details=values["details"],
        binding=selectors.binding_of(values["action"], values["details"]),
        requested_by=actor,
        requester_user_id=user_id,
        rule_id=rule_id,
        agent_id=None,
        task_id=task_id,
        execution_id=None,
        call_id="",
        now=now,
    )


@transaction.atomic
def open_approval(
    *,
    organization_id: UUID,
    action: str,
    details: Mapping[str, Any],
    binding: str,
    requested_by: Actor,
    requester_user_id: UUID | None,
    author_ids: Sequence[UUID] = (),
    rule_id: UUID | None,
    agent_id: UUID | None,
    task_id: UUID | None,
    execution_id: UUID | None,
    call_id: str,
    now: datetime,
) -> Approval:
    """Open an approval; the one that is there for the same call of the same task, if there is one.

    `details` may be long and hold secrets: they are cut and masked, `binding` stands for all of
    them. `rule_id` names the rule; without one, or if it is not active, the most specific counts
    that fits (`selectors.find_terms`). It is pinned: later changes of it do not matter.
    """
    terms = selectors.find_terms(
        organization_id=organization_id, action=action, details=details, rule_id=rule_id
    )
    shown, is_cut = texts.show(details)
    approval = Approval(
        organization_id=organization_id,
        action=action,
        details=shown,
        details_cut=is_cut,
        binding=binding,
        requested_by=str(requested_by),
        requested_by_label=requested_by.label[:255],
        requester_user_id=requester_user_id,
        author_ids=list(author_ids),
        requester_email=_email_of(organization_id, requester_user_id),
        agent_id=agent_id,
        agent_name=requested_by.label[:255] if requested_by.type == "agent" else "",
        task_id=task_id,
        task_title=_title_of(organization_id, task_id) or "",
        execution_id=execution_id,
        call_id=call_id,
        rule=terms.write(),
        expires_at=now + timedelta(seconds=terms.expires_after_seconds),
        created_at=now,
        updated_at=now,
    )
    # Whoever asks for the same at the same moment is waited for here.
    Approval.objects.bulk_create([approval], ignore_conflicts=True)
    earlier = selectors.find_for_call(
        organization_id=organization_id, task_id=task_id, call_id=call_id, binding=binding
    )
    if earlier is not None and earlier.pk != approval.pk:
        return earlier
    said = {"rule": terms.name, "rule_revision": terms.revision}
    records.record(approval, action="approval.request", actor=requested_by, now=now, details=said)
    records.announce_request(approval, now=now)
    jobs.ring("approvals.mail_deciders")
    return approval


@transaction.atomic
def cancel_of_task(*, organization_id: UUID, task_id: UUID, now: datetime) -> int:
    """Take back what waits for people because of a task that ended; how many approvals that was.

    Whoever holds the task's row may call it: decisions lock that before the approval, if the app
    with the tasks says so (`decisions.BEFORE`).
    """
    rows = Approval.objects.filter(
        organization_id=organization_id, task_id=task_id, status=ApprovalStatus.PENDING
    )
    waiting = list(rows.select_for_update(no_key=True).order_by("pk"))
    for approval in waiting:
        approval.status, approval.decided_at = ApprovalStatus.CANCELLED, now
        approval.updated_at = now
        approval.save(update_fields=["status", "decided_at", "updated_at"])
        records.record(approval, action="approval.cancel", actor=SYSTEM, now=now)
        records.announce_end(approval, now=now)
    return len(waiting)


def _title_of(organization_id: UUID, task_id: UUID | None) -> str | None:
    if task_id is None:
        return None
    titles = (title_of(organization_id, task_id) for title_of in TITLES)
    return next((title for title in titles if title is not None), None)


def _email_of(organization_id: UUID, user_id: UUID | None) -> str:
    if user_id is None:
        return ""
    people = User.objects.filter(organization_id=organization_id, pk=user_id)
    return people.values_list("email", flat=True).first() or ""


def _has_rule(organization_id: UUID, rule_id: UUID) -> bool:
    try:
        return selectors.get_rule(organization_id=organization_id, rule_id=rule_id).is_active
    except RuleNotFound:
        return False
