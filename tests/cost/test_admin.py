"""The console's pages of the usage ledger, of budgets, and of what agents cost."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from cost.models import Budget
from kernel import clock
from tests.accounts.factories import withdraw
from tests.agents.factories import make_agent
from tests.cost import factories
from tests.hub.console_rows import address, list_address

LIST = "admin:cost_usagerecord_changelist"


def test_the_list_shows_the_own_calls(client: Client, viewer: User, stranger: User) -> None:
    factories.record(viewer.organization, model="our-model")
    factories.record(stranger.organization, model="their-model")
    client.force_login(viewer)

    page = client.get(reverse(LIST), {"q": "model"}).content.decode()

    assert "our-model" in page
    assert "their-model" not in page


def test_a_call_opens_for_its_organization_only(
    client: Client, viewer: User, stranger: User
) -> None:
    row = factories.record(viewer.organization, model="our-model")
    address = reverse("admin:cost_usagerecord_change", args=[row.pk])

    client.force_login(viewer)
    assert "our-model" in client.get(address).content.decode()

    client.force_login(stranger)
    assert client.get(address).status_code == 302


def test_a_budget_is_made_for_an_agent_by_name(client: Client, admin: User) -> None:
    agent, other = make_agent(admin.organization, name="Clerk"), make_agent(admin.organization)
    factories.make_budget(admin.organization, scope="agent", subject_id=other.pk)
    client.force_login(admin)
    button = reverse("admin:cost_budget_create_budget")

    asked = client.get(button).content.decode()
    chosen = {"scope": "agent", "agent": str(agent.pk), "period": "month", "at_limit": "soft"}
    client.post(button, {"_form_submitted": "on", "limit_usd": "2", **chosen})
    listed = client.get(list_address(Budget)).content.decode()
    own = client.get(list_address(Budget), {"subject_id": str(agent.pk)})

    assert f'<option value="{agent.pk}"' in asked
    budget = Budget.objects.get(subject_id=agent.pk)
    assert f'{address(type(agent), agent.pk)}">Clerk</a>' in listed
    assert [row.pk for row in own.context["cl"].result_list] == [budget.pk]
    page = client.get(address(type(agent), agent.pk)).content.decode()
    assert f"{list_address(Budget)}?subject_id={agent.pk}" in page


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ({"scope": "organization"}, "Choose none, or make the budget of an agent."),
        ({"scope": "task"}, "Choose none, or make the budget of an agent."),
        ({"scope": "run"}, "Choose none, or make the budget of an agent."),
        ({"scope": "agent", "subject_id": str(uuid4())}, "Choose the agent above, or give an id"),
    ],
    ids=["organization", "task", "run", "agent-and-id"],
)
def test_a_chosen_agent_is_never_passed_over(
    client: Client, admin: User, chosen: dict[str, str], shown: str
) -> None:
    agent = make_agent(admin.organization)
    client.force_login(admin)
    new = {"agent": str(agent.pk), "period": "total", "at_limit": "soft", "limit_usd": "2"}

    button = reverse("admin:cost_budget_create_budget")
    page = client.post(button, {"_form_submitted": "on", **new, **chosen}).content.decode()

    assert shown in page
    assert not Budget.objects.exists()


@pytest.mark.parametrize("days", ["7", "30", "x", "0"])
def test_agents_and_providers_are_compared(client: Client, viewer: User, days: str) -> None:
    agent = make_agent(viewer.organization, name="<b>Clerk</b>")
    factories.record(viewer.organization, agent_id=agent.pk, now=clock.now())
    factories.record(viewer.organization, now=clock.now(), model="nobody-knows-it")
    client.force_login(viewer)

    page = client.get(reverse("admin:costs"), {"days": days}).content.decode()

    assert f'{address(type(agent), agent.pk)}">&lt;b&gt;Clerk&lt;/b&gt;</a>' in page
    assert "No agent" in page
    assert page.count("$3.5000") == 3
    assert "at least" in page


def test_costs_are_for_who_may_see_them(client: Client, viewer: User) -> None:
    withdraw("cost.read")
    client.force_login(viewer)

    assert client.get(reverse("admin:costs")).status_code == 403
