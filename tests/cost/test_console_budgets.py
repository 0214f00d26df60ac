"""The console's pages of budgets and prices."""

from decimal import Decimal
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from agents.models import Agent
from cost.models import Budget, ModelPrice, UsageRecord
from kernel import clock
from tests.agents.factories import make_agent
from tests.cost.factories import Call, make_budget, make_price, record
from tests.hub.console_rows import address, list_address

SUBMITTED = {"_form_submitted": "on"}
LIMITS = {"limit_usd": "2.5", "at_limit": "hard", "alert_thresholds": "50, 100"}
AMOUNTS = {"input_usd": "20", "output_usd": "0"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_the_list_shows_how_budgets_stand_and_what_days_cost(
    client: Client, viewer: User, organization: Organization
) -> None:
    make_budget(organization, "14")
    make_budget(organization, scope="agent", is_hard=False)
    record(organization, now=clock.now())
    Call(organization.pk, now=clock.now()).reserve()
    client.force_login(viewer)

    page = client.get(list_address(Budget)).content.decode()

    assert 'aria-label="25.0 % spent"' in page
    assert '<rect class="hub-spent" x="0" y="0" width="25" height="8" />' in page
    assert "+ $0.0035 held" in page
    assert "each for itself" in page
    assert page.count('width="8"') == 30
    assert '<rect x="290" y="0" width="8" height="100">' in page
    assert "style=" not in page[page.index('id="daily-cost"') :].partition("</section>")[0]


def test_a_budget_beyond_its_limit_is_as_wide_as_one_at_it(
    console: Client, organization: Organization
) -> None:
    budget = make_budget(organization, "1", is_hard=False)
    record(organization, now=clock.now())

    page = console.get(address(Budget, budget.pk)).content.decode()

    assert 'class="hub-spent hub-over" x="0" y="0" width="100"' in page
    assert 'aria-label="350.0 % spent"' in page


def test_a_budget_is_made_changed_and_removed_in_dialogs(console: Client) -> None:
    page = reverse("admin:cost_budget_create_budget")
    new = {**SUBMITTED, **LIMITS, "scope": "agent", "subject_id": "", "period": "day"}
    for wrong in ("much", "0", "101", "80 50", "50 50"):
        refused = console.post(page, new | {"alert_thresholds": wrong}).content.decode()
        assert "Enter ascending numbers from 1 to 100." in refused
    console.post(page, new)
    twin = console.post(page, new).content.decode()
    made = Budget.objects.get()

    change = address(Budget, made.pk, "change_budget")
    shown = console.get(change).content.decode()
    console.post(change, {**SUBMITTED, **LIMITS, "at_limit": "soft", "alert_thresholds": ""})
    made.refresh_from_db()
    console.post(address(Budget, made.pk, "remove_budget"), SUBMITTED)

    assert "There is a budget for the same scope" in twin
    assert 'value="2.5"' in shown
    assert 'value="50, 100"' in shown
    assert (made.limit_usd, made.is_hard, made.alert_thresholds) == (Decimal("2.5"), False, [])
    assert not Budget.objects.get().is_active


def test_a_price_is_made_changed_and_deleted_in_dialogs(console: Client) -> None:
    page = reverse("admin:cost_modelprice_create_price")
    new = {**SUBMITTED, **AMOUNTS, "provider": "openai", "model": "llama*"}
    refused = console.post(page, new | {"model": "100 %"}).content.decode()
    console.post(page, new)
    made = ModelPrice.objects.get()

    change = address(ModelPrice, made.pk, "change_price")
    shown = console.get(change).content.decode()
    console.post(change, {**SUBMITTED, **AMOUNTS, "output_usd": "0.4"})
    made.refresh_from_db()
    console.post(address(ModelPrice, made.pk, "delete_price"), SUBMITTED)

    assert "Enter a valid value." in refused
    assert 'value="20"' in shown
    assert (made.input_usd, made.output_usd) == (Decimal("20"), Decimal("0.4"))
    assert not ModelPrice.objects.exists()


def test_who_only_reads_changes_nothing(
    client: Client, viewer: User, organization: Organization
) -> None:
    budget, price = make_budget(organization), make_price(organization)
    client.force_login(viewer)

    client.post(address(Budget, budget.pk, "remove_budget"), SUBMITTED)
    client.post(address(ModelPrice, price.pk, "delete_price"), SUBMITTED)

    assert Budget.objects.get().is_active
    assert ModelPrice.objects.exists()


def test_an_agents_daily_limit_is_shown_and_not_changed_here(
    console: Client, organization: Organization
) -> None:
    agent = make_agent(organization, name="Ada", daily_budget_usd=Decimal("2.5"))
    budget = Budget.objects.get()

    listed = console.get(list_address(Budget)).content.decode()
    page = console.get(address(Budget, budget.pk)).content.decode()
    removed = console.post(address(Budget, budget.pk, "remove_budget"), SUBMITTED, follow=True)

    assert "Agent's version" in unescape(listed)
    assert address(Agent, agent.pk) in listed
    assert "change_budget" not in page
    assert "remove_budget" not in page
    assert "This is an agent's daily limit." in unescape(removed.content.decode())
    assert Budget.objects.get().is_active


def test_a_call_without_an_answer_is_an_estimate(
    console: Client, organization: Organization
) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()
    call.give_up()

    assert "estimated" in console.get(list_address(UsageRecord)).content.decode()
