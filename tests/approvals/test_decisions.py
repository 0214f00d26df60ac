"""Votes, quorum, who may, time that runs out, and the one use."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from accounts.models import Organization, Role, RoleAssignment, User
from approvals import selectors
from approvals.errors import (
    AlreadyDecided,
    AlreadyVoted,
    ApprovalExpired,
    ApprovalNotFound,
    NotAnApprover,
    OwnRequest,
)
from approvals.models import Approval, Vote
from approvals.operations import decisions, requests, sweeps, uses
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock
from kernel.errors import Conflict, Forbidden, Invalid
from tests.accounts.factories import withdraw
from tests.approvals.factories import approve, ask, give, make_people, make_rule, reject

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statuses that whoever waits was told."""
    told: list[str] = []

    def hear(approval: Approval, now: datetime) -> None:
        assert approval.decided_at == now
        told.append(str(approval.status))

    monkeypatch.setattr(decisions, "DECIDED", [hear])
    return told


def consume(approval: Approval, *, binding: str = "") -> bool:
    return uses.consume(
        organization_id=approval.organization_id,
        approval_id=approval.pk,
        binding=binding or approval.binding,
        now=clock.now(),
    )


def actions() -> list[str]:
    rows = AuditEvent.objects.filter(resource_type="approval").order_by("pk")
    return list(rows.values_list("action", flat=True))


def test_one_approval_is_enough_without_a_rule(
    organization: Organization, operator: User, heard: list[str]
) -> None:
    approval = approve(ask(organization), operator)

    assert (approval.status, approval.decided_by, approval.decision_note) == (
        "approved",
        operator,
        "Go on.",
    )
    assert heard == ["approved"]
    assert actions() == ["approval.request", "approval.approve"]
    kinds = OutboxEvent.objects.order_by("pk").values_list("type", "data__status")
    assert list(kinds) == [("approval.requested", "pending"), ("approval.decided", "approved")]


def test_a_quorum_takes_as_many_people_as_the_rule_says(
    organization: Organization, heard: list[str]
) -> None:
    make_rule(organization, min_approvals=2)
    approval = ask(organization)
    first, second = make_people(organization, 2)

    assert approve(approval, first).status == "pending"
    assert heard == []
    assert approve(approval, second).status == "approved"
    assert heard == ["approved"]


def test_one_rejection_rejects(organization: Organization, heard: list[str]) -> None:
    make_rule(organization, min_approvals=3)
    approval = ask(organization)
    first, second = make_people(organization, 2)
    approve(approval, first)

    rejected = reject(approval, second)

    assert (rejected.status, rejected.rejection_reason) == ("rejected", "Not today.")
    assert heard == ["rejected"]
    assert not consume(rejected)


def test_nobody_votes_twice_or_after_the_end(organization: Organization) -> None:
    make_rule(organization, min_approvals=2)
    approval = ask(organization)
    first, second, third = make_people(organization, 3)
    approve(approval, first)

    with pytest.raises(AlreadyVoted):
        reject(approval, first)
    approve(approval, second)
    with pytest.raises(AlreadyDecided) as refusal:
        reject(approval, third)

    assert refusal.value.detail.startswith("This approval was approved already.")
    assert Vote.objects.count() == 2


def test_a_rejection_says_why(organization: Organization, operator: User) -> None:
    approval = ask(organization)

    with pytest.raises(Invalid):
        decisions.reject(
            organization_id=organization.pk,
            approval_id=approval.pk,
            actor=None,  # type: ignore[arg-type]  # never asked for
            user=operator,
            reason=" ",
            now=clock.now(),
        )


def test_nobody_decides_what_they_asked_for(organization: Organization, operator: User) -> None:
    with pytest.raises(OwnRequest):
        approve(ask(organization, requester=operator), operator)
    assert not Vote.objects.exists()

    make_rule(organization, allow_self_approval=True)
    assert approve(ask(organization, requester=operator), operator).status == "approved"


def test_the_rule_names_who_decides(organization: Organization) -> None:
    role = Role.objects.create(organization=organization, name="Release")
    holder, named, other = make_people(organization, 3)
    give(holder, role)
    make_rule(organization, approver_role_id=role.pk, approvers=[named.pk])
    approval = ask(organization)

    assert selectors.find_deciders(approval=approval) == {holder.pk, named.pk}
    with pytest.raises(NotAnApprover):
        approve(approval, other)
    assert approve(approval, holder).status == "approved"


def test_whom_the_rule_names_must_hold_the_permission_too(
    organization: Organization, viewer: User
) -> None:
    make_rule(organization, approvers=[viewer.pk])
    approval = ask(organization)

    with pytest.raises(Forbidden) as refusal:
        approve(approval, viewer)

    assert refusal.value.data == {"permission": "approval.decide"}
    assert selectors.find_deciders(approval=approval) == set()


def test_rights_count_as_they_are_when_one_votes(
    organization: Organization, operator: User
) -> None:
    approval = ask(organization)
    assert operator.may("approval.decide")  # and remembers it
    withdraw("approval.decide")

    with pytest.raises(Forbidden):
        approve(approval, operator)


def test_a_role_for_one_agent_decides_for_that_agent(
    organization: Organization, viewer: User
) -> None:
    agent_id = uuid4()
    role = Role.objects.create(
        organization=organization, name="Keeper", permissions=["approval.decide"]
    )
    give(viewer, role, agent_id=str(agent_id))
    viewer.__dict__.pop("rights", None)
    mine, other = ask(organization, agent_id=agent_id), ask(organization, agent_id=uuid4())

    with pytest.raises(Forbidden):
        approve(other, viewer)
    assert approve(mine, viewer).status == "approved"


def test_a_rule_that_changes_moves_no_open_approval(
    organization: Organization, operator: User
) -> None:
    rule = make_rule(organization, min_approvals=2)
    approval = ask(organization)
    rule.min_approvals = 1
    rule.save()

    assert approve(approval, operator).status == "pending"
    assert approval.terms.revision == 1


def test_it_is_said_when_nobody_can_complete_the_quorum(organization: Organization) -> None:
    first, second = make_people(organization, 2)
    make_rule(organization, min_approvals=2, approvers=[first.pk, second.pk])
    approval = approve(ask(organization), first)
    before = selectors.inquire(approval=approval, now=clock.now())
    User.objects.filter(pk=second.pk).update(is_active=False)

    after = selectors.inquire(approval=approval, now=clock.now())

    assert (before.missing, before.deciders, before.can_be_met) == (1, (second,), True)
    assert (after.missing, after.deciders, after.can_be_met) == (1, (), False)


@pytest.mark.parametrize("lost", ["account", "role"])
def test_a_vote_counts_as_long_as_its_voter_may_decide(
    organization: Organization, heard: list[str], lost: str
) -> None:
    make_rule(organization, min_approvals=2)
    first, second, third = make_people(organization, 3)
    approval = approve(ask(organization), first)
    if lost == "account":
        User.objects.filter(pk=first.pk).update(is_active=False)
    else:
        RoleAssignment.objects.filter(user=first).delete()

    before = selectors.inquire(approval=approval, now=clock.now())
    short = approve(approval, second)
    after = selectors.inquire(approval=short, now=clock.now())
    decided = approve(approval, third)

    assert (before.missing, before.can_be_met) == (2, True)
    assert (short.status, after.missing, after.deciders) == ("pending", 1, (third,))
    assert (decided.status, heard) == ("approved", ["approved"])


def test_who_may_decide_again_leaves_the_decision_to_a_vote(organization: Organization) -> None:
    make_rule(organization, min_approvals=2)
    first, second, third = make_people(organization, 3)
    approval = approve(ask(organization), first)
    User.objects.filter(pk=first.pk).update(is_active=False)
    approve(approval, second)
    User.objects.filter(pk=first.pk).update(is_active=True)

    inquiry = selectors.inquire(approval=approval, now=clock.now())
    decided = approve(approval, third)

    assert (inquiry.status, inquiry.missing, inquiry.can_be_met) == ("pending", 1, True)
    assert decided.status == "approved"


def test_time_never_approves(organization: Organization, heard: list[str]) -> None:
    make_rule(organization, min_approvals=2)
    first, second = make_people(organization, 2)
    approval = approve(ask(organization), first)

    with pytest.raises(ApprovalExpired):
        approve(approval, second, now=approval.expires_at)
    with pytest.raises(ApprovalExpired):
        reject(approval, second)

    approval.refresh_from_db()
    assert (approval.status, approval.decided_by, heard) == ("expired", None, ["expired"])
    assert actions()[-1] == "approval.expire"


def test_the_sweep_expires_each_once(
    organization: Organization, other_organization: Organization, heard: list[str]
) -> None:
    ask(organization)
    ask(other_organization)
    late = ask(organization, now=clock.now() + DAY)

    assert sweeps.expire_due(now=clock.now() + DAY) == 2
    assert sweeps.expire_due(now=clock.now() + DAY) == 0

    assert heard == ["expired", "expired"]
    assert Approval.objects.get(status="pending") == late


def test_one_that_cannot_expire_holds_up_no_other(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = ask(organization), ask(organization)

    def refuse(approval: Approval, now: datetime) -> None:
        if approval == stuck:
            raise Conflict

    monkeypatch.setattr(decisions, "DECIDED", [refuse])

    assert sweeps.expire_due(now=clock.now() + DAY) == 1
    assert set(Approval.objects.values_list("pk", "status")) == {
        (stuck.pk, "pending"),
        (other.pk, "expired"),
    }


def test_what_expired_shows_so_before_the_sweep(organization: Organization) -> None:
    approval = ask(organization)
    later = approval.expires_at

    rows = selectors.list_approvals(organization_id=organization.pk, now=later)
    inquiry = selectors.inquire(approval=approval, now=later)

    assert [row.standing for row in rows] == ["expired"]  # type: ignore[attr-defined]  # annotated
    assert (inquiry.status, inquiry.deciders, inquiry.can_be_met) == ("expired", (), None)


def test_it_is_good_for_one_use_of_just_that(organization: Organization, operator: User) -> None:
    approval = ask(organization)
    assert not consume(approval)
    approve(approval, operator)

    assert not consume(approval, binding=selectors.binding_of(approval.action, {}))
    assert consume(approval)
    assert not consume(approval)
    assert actions()[2:] == ["approval.use"]


def test_a_task_that_ends_takes_its_questions_back(
    organization: Organization, operator: User, heard: list[str]
) -> None:
    task_id = uuid4()
    decided = approve(ask(organization, task_id=task_id, call_id="1"), operator)
    waiting = ask(organization, task_id=task_id, call_id="2")
    other = ask(organization)
    asked = {"organization_id": organization.pk, "task_id": task_id}
    assert selectors.has_pending(**asked)

    assert requests.cancel_of_task(**asked, now=clock.now()) == 1
    assert requests.cancel_of_task(**asked, now=clock.now()) == 0

    assert dict(Approval.objects.values_list("pk", "status")) == {
        decided.pk: "approved",
        waiting.pk: "cancelled",
        other.pk: "pending",
    }
    assert not selectors.has_pending(**asked)
    assert heard == ["approved"]
    with pytest.raises(AlreadyDecided):
        approve(waiting, operator)


def test_another_organizations_approval_is_not_there(
    organization: Organization, stranger: User
) -> None:
    approval = ask(organization)
    approval.organization_id = stranger.organization_id

    with pytest.raises(ApprovalNotFound):
        approve(approval, stranger)
