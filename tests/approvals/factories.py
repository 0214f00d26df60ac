"""Approvals and rules for tests."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from accounts.choices import UserRole
from accounts.models import Organization, Role, RoleAssignment, User
from approvals import selectors
from approvals.models import Approval, ApprovalRule
from approvals.operations import decisions, requests, rules
from kernel import clock
from kernel.actors import SYSTEM, Actor
from tests.accounts.factories import make_actor, make_user

ACTION = "execute_tool:deploy"


def make_rule(organization: Organization, **values: Any) -> ApprovalRule:
    """A rule for every tool, unless `values` say otherwise."""
    return rules.create_rule(
        organization_id=organization.pk,
        values={"name": f"Rule {uuid4()}", "action": "execute_tool:*", **values},
        actor=SYSTEM,
        now=clock.now(),
    )


def ask(
    organization: Organization,
    *,
    action: str = ACTION,
    arguments: dict[str, Any] | None = None,
    requester: User | None = None,
    actor: Actor = SYSTEM,
    rule_id: UUID | None = None,
    agent_id: UUID | None = None,
    task_id: UUID | None = None,
    call_id: str = "call-1",
    now: datetime | None = None,
) -> Approval:
    """What the run of a task asks for."""
    arguments = arguments or {"environment": "prod"}
    return requests.open_approval(
        organization_id=organization.pk,
        action=action,
        details={"arguments": arguments},
        binding=selectors.binding_of(action, arguments),
        requested_by=actor,
        requester_user_id=requester.pk if requester else None,
        rule_id=rule_id,
        agent_id=agent_id,
        task_id=task_id or uuid4(),
        execution_id=None,
        call_id=call_id,
        now=now or clock.now(),
    )


def approve(approval: Approval, user: User, *, now: datetime | None = None) -> Approval:
    """A vote for it."""
    return decisions.approve(**_vote(approval, user, now), note="Go on.")


def reject(approval: Approval, user: User, *, now: datetime | None = None) -> Approval:
    """A vote against it."""
    return decisions.reject(**_vote(approval, user, now), reason="Not today.")


def make_people(organization: Organization, count: int) -> list[User]:
    """Operators, who may decide."""
    return [make_user(organization, role=UserRole.OPERATOR) for _ in range(count)]


def give(user: User, role: Role, **scope: str) -> None:
    """A role for what the scope names."""
    RoleAssignment.objects.create(
        organization_id=user.organization_id, user=user, role=role, scope=scope
    )


def _vote(approval: Approval, user: User, now: datetime | None) -> dict[str, Any]:
    return {
        "organization_id": approval.organization_id,
        "approval_id": approval.pk,
        "actor": make_actor(user),
        "user": user,
        "now": now or clock.now(),
    }
