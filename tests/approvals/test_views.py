"""`/api/v1/approvals` and `/api/v1/approval-rules` over HTTP."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import Organization, Role, User
from accounts.operations import roles
from approvals.choices import DECIDE, ApprovalStatus
from approvals.models import Approval, ApprovalRule
from kernel import clock
from kernel.actors import SYSTEM, Actor
from tests.accounts.factories import make_key, set_policy
from tests.approvals.factories import ask, give, make_people, make_rule
from tests.clients import ApiClient, HubClient
from tests.tasks.factories import make_task

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], ApiClient]
APPROVALS = "/api/v1/approvals"
RULES = "/api/v1/approval-rules"


def test_somebody_asks_and_somebody_else_approves(
    api: Api, admin: User, operator: User, organization: Organization
) -> None:
    task = make_task(organization)
    body = {"action": "deploy", "details": {"to": "prod", "token": "x"}, "task_id": str(task.pk)}

    asked = api(admin).post(APPROVALS, body)
    approval = asked.json()
    own = api(admin).post(f"{APPROVALS}/{approval['id']}/approve")
    answer = api(operator).post(f"{APPROVALS}/{approval['id']}/approve", {"note": "Fine."})

    assert (asked.status_code, own.status_code, answer.status_code) == (201, 403, 200)
    assert own.json()["code"] == "approval.own_request"
    assert (approval["status"], approval["can_decide"], approval["can_be_met"]) == (
        "pending",
        False,
        True,
    )
    assert approval["details"] == {"to": "prod", "token": "[redacted]"}
    assert approval["deciders"] == [{"user_id": str(operator.pk), "user": operator.email}]
    decided = answer.json()
    assert (decided["status"], decided["decided_by"], decided["decision_note"]) == (
        "approved",
        str(operator.pk),
        "Fine.",
    )
    assert [(vote["user"], vote["decision"]) for vote in decided["votes"]] == [
        (operator.email, "approve")
    ]
    again = api(operator).post(f"{APPROVALS}/{approval['id']}/reject", {"reason": "No."})
    assert (again.status_code, again.json()["code"]) == (409, "approval.already_decided")


def test_a_rejection_needs_a_reason(api: Api, operator: User, organization: Organization) -> None:
    approval = ask(organization)
    client = api(operator)
    path = f"{APPROVALS}/{approval.pk}/reject"

    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x", "note": "y"}):
        assert client.post(path, body).status_code == 422
    answer = client.post(path, {"reason": "Too risky."})

    assert (answer.status_code, answer.json()["rejection_reason"]) == (200, "Too risky.")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": ""},
        {"action": "a b"},
        {"action": "x" * 256},
        {"action": "deploy", "details": []},
        {"action": "deploy", "task_id": "x"},
        {"action": "deploy", "task_id": str(uuid4())},
        {"action": "deploy", "rule_id": str(uuid4())},
        {"action": "deploy", "approved": True},
    ],
)
def test_what_cannot_be_asked_for(api: Api, admin: User, body: dict[str, Any]) -> None:
    assert api(admin).post(APPROVALS, body).status_code == 422
    assert not Approval.objects.exists()


def test_tasks_and_rules_of_others_are_not_there(api: Api, admin: User, stranger: User) -> None:
    task, rule = make_task(stranger.organization), make_rule(stranger.organization)
    client = api(admin)

    for named in ({"task_id": str(task.pk)}, {"rule_id": str(rule.pk)}):
        assert client.post(APPROVALS, {"action": "deploy", **named}).status_code == 422
    approval = ask(stranger.organization)
    for path in ("", "/approve", "/reject"):
        method = client.post if path else client.get
        assert method(f"{APPROVALS}/{approval.pk}{path}").status_code == 404


def test_the_list_is_filtered(api: Api, admin: User, organization: Organization) -> None:
    task_id = uuid4()
    first = ask(organization, action="deploy", task_id=task_id)
    expired = ask(organization)
    Approval.objects.filter(pk=expired.pk).update(expires_at=clock.now())
    cancelled = ask(organization, now=clock.now())
    Approval.objects.filter(pk=cancelled.pk).update(status=ApprovalStatus.CANCELLED)
    client = api(admin)

    def found(**query: Any) -> list[tuple[str, str]]:
        items = client.get(APPROVALS, **query).json()["items"]
        return [(item["id"], item["status"]) for item in items]

    pending = (str(first.pk), "pending")
    assert found() == [
        (str(cancelled.pk), "cancelled"),
        (str(expired.pk), "expired"),
        pending,
    ]
    assert found(status="pending") == [pending]
    assert found(status="expired") == [(str(expired.pk), "expired")]
    assert found(action="deploy") == found(task_id=task_id) == [pending]
    assert found(mine="true") == [pending]
    assert client.get(APPROVALS, status="open").status_code == 422


def test_mine_are_those_that_wait_for_the_callers_vote(
    api: Api, viewer: User, operator: User, organization: Organization
) -> None:
    (other,) = make_people(organization, 1)
    role = Role.objects.create(organization=organization, name="Keeper")
    agent_id = uuid4()
    give(operator, role, agent_id=str(agent_id))

    def opened(action: str, agent: Any = None, **rule: Any) -> None:
        make_rule(organization, action=action, **rule)
        ask(organization, action=action, agent_id=agent)

    opened("anybody")
    opened("named", approvers=[operator.pk])
    opened("others", approvers=[other.pk])
    opened("role.here", agent_id, approver_role_id=role.pk)
    opened("role.elsewhere", uuid4(), approver_role_id=role.pk)
    ask(organization, action="own", requester=operator)
    make_rule(organization, action="voted", min_approvals=2)
    voted = ask(organization, action="voted")
    client = api(operator)
    assert client.post(f"{APPROVALS}/{voted.pk}/approve").json()["status"] == "pending"

    items = client.get(APPROVALS, mine="true").json()["items"]

    assert [item["action"] for item in items] == ["role.here", "named", "anybody"]
    assert api(viewer).get(APPROVALS, mine="true").json()["items"] == []


def test_api_keys_decide_nothing(operator: User, organization: Organization) -> None:
    approval = ask(organization)
    key = make_key(operator, "write")
    client = HubClient(headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False)

    assert client.get(f"{APPROVALS}/{approval.pk}").status_code == 200
    for verb in ("approve", "reject"):
        assert client.post(f"{APPROVALS}/{approval.pk}/{verb}").status_code == 403


def test_a_vote_asks_for_a_fresh_factor_where_the_organization_does(
    api: Api, operator: User, organization: Organization
) -> None:
    approval = ask(organization)
    client = api(operator)
    set_policy(organization, step_up_required=True)

    answer = client.post(f"{APPROVALS}/{approval.pk}/approve")

    assert (answer.status_code, answer.json()["code"]) == (412, "auth.mfa_enrollment_required")


def test_an_expired_one_is_409_at_once(
    api: Api, operator: User, organization: Organization
) -> None:
    approval = ask(organization)
    Approval.objects.update(expires_at=clock.now())

    answer = api(operator).post(f"{APPROVALS}/{approval.pk}/approve")

    assert (answer.status_code, answer.json()["code"]) == (409, "approval.expired")
    assert Approval.objects.get().status == "expired"


def test_rules_over_http(api: Api, admin: User, organization: Organization) -> None:
    client = api(admin)
    role = Role.objects.create(organization=organization, name="Release")
    body = {
        "name": "Production",
        "action": "execute_tool:*",
        "conditions": {"arguments.environment": "prod"},
        "min_approvals": 2,
        "approver_role_id": str(role.pk),
        "approvers": [str(admin.pk), str(admin.pk)],
    }

    made = client.post(RULES, body)
    path = f"{RULES}/{made.json()['id']}"
    changed = client.patch(path, {"is_active": False}).json()
    twin = client.post(RULES, body)
    listed = client.get(RULES).json()["items"]

    assert made.status_code == 201
    assert made.json() | body | {"approvers": [str(admin.pk)]} == made.json()
    assert (changed["is_active"], changed["revision"], changed["min_approvals"]) == (False, 2, 2)
    assert twin.json()["code"] == "approval_rule.name_taken"
    assert changed.pop("possible_voters") == 1
    assert listed == [changed]
    assert client.get(path).json() == {**changed, "possible_voters": 1}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"action": "*tool"},
        {"action": "a*b"},
        {"action": ""},
        {"min_approvals": 0},
        {"expires_after_seconds": 59},
        {"approvers": ["x"]},
        {"approvers": [str(uuid4())]},
        {"approver_role_id": str(uuid4())},
        {"conditions": {"a": {}}},
        {"conditions": {"": 1}},
        {"conditions": {"a": "\x00"}},
        {"auto_approve_after_hours": 1},
    ],
)
def test_rules_that_are_refused(api: Api, admin: User, values: dict[str, Any]) -> None:
    client = api(admin)

    answer = client.post(RULES, {"name": "Rule", "action": "deploy", **values})

    assert answer.status_code == 422
    assert not ApprovalRule.objects.exists()


def test_a_role_that_a_rule_names_is_kept(
    api: Api, admin: User, organization: Organization
) -> None:
    role = roles.create_role(
        organization_id=organization.pk,
        name="Release",
        description="",
        permissions=[],
        giver=None,
        actor=SYSTEM,
        now=clock.now(),
    )
    make_rule(organization, approver_role_id=role.pk)

    answer = api(admin).delete(f"/api/v1/roles/{role.pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "role.in_use")
    assert Role.objects.filter(pk=role.pk).exists()


def test_an_approval_keeps_the_names_of_who_asked(
    api: Api, admin: User, organization: Organization
) -> None:
    task = make_task(organization, title="Ship it")
    actor = Actor(type="agent", id=str(uuid4()), label="Deployer")
    approval = ask(
        organization, actor=actor, requester=admin, agent_id=UUID(actor.id), task_id=task.pk
    )

    task.title = "Something else"
    task.save()
    shown = api(admin).get(f"{APPROVALS}/{approval.pk}").json()
    (listed,) = api(admin).get(APPROVALS).json()["items"]

    said = {"agent_name": "Deployer", "task_title": "Ship it", "requester_email": admin.email}
    assert shown | said | {"requester_user_id": str(admin.pk)} == shown
    assert listed | said == listed


def test_a_rule_says_how_many_people_may_vote(
    api: Api, admin: User, viewer: User, organization: Organization
) -> None:
    role = Role.objects.create(
        organization_id=organization.pk, name="Release", permissions=[DECIDE]
    )
    make_people(organization, 2)
    give(viewer, role, agent_id=str(uuid4()))
    client = api(admin)

    def voters(**values: Any) -> int:
        body = {"name": str(uuid4()), "action": "deploy", **values}
        count: int = client.post(RULES, body).json()["possible_voters"]
        return count

    assert voters() == 4
    assert voters(approver_role_id=str(role.pk)) == 1
    assert voters(approver_role_id=str(role.pk), approvers=[str(admin.pk)]) == 2
