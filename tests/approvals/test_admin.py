"""The console's inbox and its page of rules."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, Role, User
from agents.models import Agent
from approvals.models import Approval, ApprovalRule
from kernel import clock
from kernel.actors import Actor
from tests.accounts.factories import PASSWORD, enrol, make_user, set_policy, totp
from tests.agents.factories import make_agent
from tests.approvals.factories import approve, ask, give, make_people, make_rule
from tests.hub.console_rows import address, list_address
from tests.tasks.factories import make_task

pytestmark = pytest.mark.django_db
SUBMITTED = {"_form_submitted": "on"}
RULE = {
    "name": "Production",
    "action": "execute_tool:*",
    "conditions": 'arguments.environment = "prod"\narguments.count = 2\narguments.kind = big',
    "min_approvals": 2,
    "expires_after_seconds": 600,
    "is_active": "on",
}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """Who asks."""
    return make_agent(organization, name="Deployer")


def page(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def body_of(shown: str) -> str:
    """The card above the fields."""
    return shown.partition('id="vote"')[2].partition("</section>")[0]


def decide(client: Client, approval: Approval, button: str, **values: Any) -> str:
    path = address(Approval, approval.pk, button)
    return client.post(path, {**SUBMITTED, **values}).content.decode()


def test_what_waits_comes_first_and_says_who_asks(
    console: Client, organization: Organization, agent: Agent, operator: User
) -> None:
    task = make_task(organization, title="Ship it")
    ask(organization, action="deploy", agent_id=agent.pk, task_id=task.pk)
    approve(ask(organization, action="done"), operator)

    inbox = page(console, list_address(Approval))

    assert inbox.index(">deploy<") < inbox.index(">done<")
    for words in ("Deployer", "Ship it", "environment: &quot;prod&quot;", "in 23 h"):
        assert words in inbox


def test_a_dialog_says_what_a_vote_will_do(console: Client, organization: Organization) -> None:
    make_rule(organization, min_approvals=2)
    approval = ask(organization)
    (other,) = make_people(organization, 1)
    path = address(Approval, approval.pk, "approve_approval")

    first = page(console, path)
    approve(approval, other)
    last = page(console, path)
    no = page(console, address(Approval, approval.pk, "reject_approval"))

    assert "After your vote it needs 1 more" in first
    assert "Yours is the last vote that it needs" in last
    assert "The agent is told your reason" in no
    assert "&quot;environment&quot;: &quot;prod&quot;" in first


def test_a_vote_from_the_inbox(console: Client, admin: User, organization: Organization) -> None:
    approval, other = ask(organization), ask(organization)

    decide(console, approval, "approve_approval", note="Fine.")
    refused = decide(console, other, "reject_approval", reason="")
    decide(console, other, "reject_approval", reason="No.")

    approval.refresh_from_db()
    other.refresh_from_db()
    assert (approval.status, approval.decided_by, approval.decision_note) == (
        "approved",
        admin,
        "Fine.",
    )
    assert "This field is required." in refused
    assert (other.status, other.rejection_reason) == ("rejected", "No.")
    assert "approve_approval" not in page(console, address(Approval, approval.pk))


def test_the_page_itself_has_the_votes_for_whom_it_asks(
    client: Client, admin: User, organization: Organization
) -> None:
    own, others = ask(organization, requester=admin), ask(organization, arguments={"to": "prod"})
    client.force_login(admin)

    mine, theirs = (page(client, address(Approval, each.pk)) for each in (own, others))
    approve(others, admin)
    voted = page(client, address(Approval, others.pk))

    for button in ("approve_approval", "reject_approval"):
        assert f'hx-get="{address(Approval, others.pk, button)}"' in body_of(theirs)
        assert f'hx-get="{address(Approval, own.pk, button)}"' not in body_of(mine)
    assert 'data-status="awaited">Pending' in theirs
    assert "Your vote is not asked for" in mine
    assert "hub-button" not in body_of(voted)


def test_a_refusal_is_shown_in_the_dialog(
    console: Client, admin: User, organization: Organization
) -> None:
    approval = ask(organization, requester=admin)

    shown = decide(console, approval, "approve_approval")

    assert "You asked for this yourself, or wrote" in shown
    assert Approval.objects.get().status == "pending"


def test_it_is_shown_when_nobody_can_complete_the_quorum(
    console: Client, organization: Organization, operator: User
) -> None:
    make_rule(organization, min_approvals=2, approvers=[operator.pk])
    approval = ask(organization)

    shown = page(console, address(Approval, approval.pk))

    assert f"2 missing. May still vote: {operator.email}." in shown
    assert "They are too few for this rule." in shown


def test_the_link_leads_there_after_the_login(
    client: Client, operator: User, organization: Organization
) -> None:
    approval = ask(organization)
    link = f"/admin/approvals/approval/{approval.pk}/"

    login = client.get(link)["Location"]
    answer = client.post(login, {"username": operator.email, "password": PASSWORD}, follow=True)

    assert login == f"/admin/login/?next={link}"
    assert answer.redirect_chain[-1][0] == f"{link}change/"
    assert "approve_approval" in answer.content.decode()


def test_whoever_decides_for_one_agent_does_so_here_too(
    client: Client, viewer: User, organization: Organization, agent: Agent
) -> None:
    role = Role.objects.create(
        organization=organization, name="Keeper", permissions=["approval.decide"]
    )
    give(viewer, role, agent_id=str(agent.pk))
    mine, other = ask(organization, agent_id=agent.pk), ask(organization)
    client.force_login(viewer)

    decide(client, mine, "approve_approval")
    decide(client, other, "approve_approval")

    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.status, other.status) == ("approved", "pending")


def test_a_vote_takes_a_fresh_code_where_the_organization_asks(
    console: Client, admin: User, organization: Organization
) -> None:
    secret = enrol(admin).secret
    set_policy(organization, step_up_required=True)
    console.force_login(admin)
    approval = ask(organization)

    without = decide(console, approval, "approve_approval")
    code = totp(secret, now=clock.now(), ahead=1)
    decide(console, approval, "approve_approval", fresh_code=code)

    assert "Your organization asks for a fresh code here." in without
    assert Approval.objects.get().status == "approved"


def test_rules_are_made_changed_and_deleted_in_dialogs(
    console: Client, admin: User, organization: Organization
) -> None:
    role = Role.objects.create(organization=organization, name="Release")
    create = reverse("admin:approvals_approvalrule_create_rule")
    console.post(
        create,
        {**SUBMITTED, **RULE, "approver_role": str(role.pk), "approvers": admin.email.upper()},
    )
    made = ApprovalRule.objects.get()
    assert (made.conditions, made.approver_role, made.approvers) == (
        {"arguments.environment": "prod", "arguments.count": 2, "arguments.kind": "big"},
        role,
        [admin.pk],
    )

    change = address(ApprovalRule, made.pk, "change_rule")
    assert admin.email in page(console, change)
    console.post(change, {**SUBMITTED, **RULE, "min_approvals": 3, "is_active": ""})
    made.refresh_from_db()
    assert (made.min_approvals, made.is_active, made.approvers, made.approver_role) == (
        3,
        False,
        [],
        None,
    )

    console.post(address(ApprovalRule, made.pk, "delete_rule"), SUBMITTED)
    assert not ApprovalRule.objects.exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"action": "a b"}, "Enter a valid value."),
        ({"conditions": "x"}, "Write each name once"),
        ({"conditions": "x = {}"}, "Compare with a text"),
        ({"conditions": "x = 1e999"}, "Compare with a number that is finite."),
        ({"approvers": "nobody@example.com"}, "Nobody here has the address"),
    ],
)
def test_what_a_rule_cannot_be(console: Client, values: dict[str, str], words: str) -> None:
    create = reverse("admin:approvals_approvalrule_create_rule")

    answer = console.post(create, {**SUBMITTED, **RULE, **values})

    assert words in answer.content.decode()
    assert not ApprovalRule.objects.exists()


def test_the_viewer_looks_and_does_nothing(
    client: Client, viewer: User, organization: Organization
) -> None:
    approval, rule = ask(organization), make_rule(organization)
    client.force_login(viewer)

    shown = page(client, address(Approval, approval.pk))
    shown += page(client, address(ApprovalRule, rule.pk))
    decide(client, approval, "approve_approval")

    assert "approve_approval" not in shown
    assert "change_rule" not in shown
    assert Approval.objects.get().status == "pending"


def test_an_approver_reads_who_asks_and_is_led_nowhere_they_may_not_go(
    client: Client, organization: Organization, agent: Agent, operator: User
) -> None:
    approver = make_user(organization)
    approver.assignments.all().delete()
    give(approver, Role.objects.get(organization_id=organization.pk, name="approver"))
    task = make_task(organization, title="Ship it")
    approval = ask(
        organization,
        actor=Actor(type="agent", id=str(agent.pk), label=agent.name),
        requester=operator,
        agent_id=agent.pk,
        task_id=task.pk,
    )
    task.delete()
    client.force_login(approver)

    shown = page(client, address(Approval, approval.pk))
    dialog = page(client, address(Approval, approval.pk, "approve_approval"))

    for words in ("Deployer", "Ship it", f"Deployer, for {operator.email}"):
        assert words in shown
        assert words in dialog
    assert address(Agent, agent.pk) not in shown
    assert str(task.pk) not in shown


def test_a_rule_that_too_few_can_meet_says_so(console: Client) -> None:
    path = reverse("admin:approvals_approvalrule_create_rule")

    made = console.post(path, {**SUBMITTED, **RULE, "min_approvals": 4}, follow=True)
    rule = ApprovalRule.objects.get()

    assert "The rule takes 4 approvals, and only 1 person may vote." in made.content.decode()
    assert "1: too few for this rule" in page(console, address(ApprovalRule, rule.pk))
