"""The audit row and the event beside every change of an approval."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals.models import Approval
from audit import operations as audit
from events import operations as events
from kernel.actors import Actor


def record(
    approval: Approval,
    *,
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """What was done with it. Never what was asked for in full: that may hold anything."""
    audit.record(
        actor=actor,
        organization_id=approval.organization_id,
        action=action,
        resource_type="approval",
        resource_id=approval.pk,
        details={"action": approval.action, "binding": approval.binding, **_about(approval)}
        | dict(details or {}),
        now=now,
    )


def announce_request(approval: Approval, *, now: datetime) -> None:
    """Somebody is needed."""
    events.publish(
        organization_id=approval.organization_id,
        type="approval.requested",
        data={**_shown(approval), "expires_at": approval.expires_at},
        now=now,
    )


def announce_end(approval: Approval, *, now: datetime) -> None:
    """Nobody is needed any more."""
    events.publish(
        organization_id=approval.organization_id,
        type="approval.decided",
        data=_shown(approval),
        now=now,
    )


def _shown(approval: Approval) -> dict[str, Any]:
    return {
        "approval_id": approval.pk,
        "action": approval.action,
        "status": str(approval.status),
        **_about(approval),
    }


def _about(approval: Approval) -> dict[str, str]:
    """The ids of what asked, as far as something did."""
    found = {
        "agent_id": approval.agent_id,
        "task_id": approval.task_id,
        "execution_id": approval.execution_id,
    }
    return {name: str(value) for name, value in found.items() if value is not None}
