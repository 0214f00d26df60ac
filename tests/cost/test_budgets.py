"""Alerts, and who is woken when there is money again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import Organization
from audit.models import AuditEvent
from cost.errors import BudgetExhausted, BudgetOfVersion
from cost.models import Budget
from cost.operations import budgets, own_prices
from events.models import OutboxEvent
from kernel.actors import SYSTEM
from tests.agents.factories import make_agent
from tests.cost.factories import NOW, Call, Usage, change_budget, make_budget, make_price
from tests.threads import race

AGENT_ID = UUID("0198a1b2-0000-7000-8000-000000000002")
Woken = list[tuple[UUID, datetime]]


@pytest.fixture
def woken() -> Iterator[Woken]:
    """Whom the hook was called for."""
    heard: Woken = []

    def hear(organization_id: UUID, now: datetime) -> None:
        heard.append((organization_id, now))

    budgets.RAISED.append(hear)
    yield heard
    budgets.RAISED.remove(hear)


def spend(organization: Organization, tokens: int, now: datetime = NOW) -> None:
    """A settled call; 100,000 tokens are a quarter of a dollar."""
    call = Call(organization.pk, input_tokens=tokens, output_tokens=0, now=now)
    call.reserve()
    call.book(usage=Usage(tokens, 0))


def told() -> list[int]:
    """The thresholds that were told of, in their order."""
    return [
        event.data["threshold"]
        for event in OutboxEvent.objects.filter(type="budget.threshold").order_by("pk")
    ]


def test_each_threshold_is_told_of_once_a_period(organization: Organization) -> None:
    budget = make_budget(organization, is_hard=False, alert_thresholds=[50, 80, 100])
    seen = []

    for _ in range(5):
        spend(organization, 100_000)
        seen.append(told())
    spend(organization, 200_000, NOW + timedelta(days=31))

    assert seen == [[], [50], [50], [50, 80, 100], [50, 80, 100]]
    assert told() == [50, 80, 100, 50]
    row = AuditEvent.objects.filter(action="budget.alert").earliest("pk")
    assert row.resource_id == str(budget.pk)
    assert row.details == {
        "budget_id": str(budget.pk),
        "scope": "organization",
        "subject_id": str(organization.pk),
        "period_start": "2026-03-01T00:00:00+00:00",
        "spent_usd": "0.50000000",
        "limit_usd": "1.00000000",
        "is_hard": False,
        "threshold": 50,
    }


def test_a_raised_limit_is_told_of_anew(organization: Organization) -> None:
    budget = make_budget(organization, is_hard=False, alert_thresholds=[80])
    spend(organization, 400_000)
    change_budget(budget, limit_usd=Decimal(2))

    spend(organization, 100_000)
    seen = told()
    spend(organization, 200_000)

    assert (seen, told()) == ([80], [80, 80])


def test_a_lowered_limit_is_told_of_with_the_next_call(organization: Organization) -> None:
    budget = make_budget(organization, is_hard=False, alert_thresholds=[50, 100])
    spend(organization, 200_000)
    change_budget(budget, limit_usd=Decimal("0.4"))

    spend(organization, 1_000)

    assert told() == [50, 100]


def test_a_limit_of_nothing_is_passed_by_the_first_cent(organization: Organization) -> None:
    make_budget(organization, "0", is_hard=False, alert_thresholds=[80, 100])

    spend(organization, 0)
    seen = told()
    spend(organization, 1)

    assert (seen, told()) == ([], [80, 100])


@pytest.mark.parametrize(
    ("values", "wakes"),
    [
        ({"limit_usd": Decimal(2)}, True),
        ({"is_hard": False}, True),
        ({"is_active": False}, True),
        ({"limit_usd": Decimal("0.5")}, False),
        ({"alert_thresholds": []}, False),
        ({"limit_usd": Decimal(1)}, False),
    ],
)
def test_a_laxer_budget_wakes_who_waits(
    organization: Organization, woken: Woken, values: dict[str, Any], *, wakes: bool
) -> None:
    change_budget(make_budget(organization), **values)

    assert woken == [(organization.pk, NOW)] * wakes


def test_a_removed_budget_wakes_who_waits_once(organization: Organization, woken: Woken) -> None:
    budget = make_budget(organization)

    for _ in range(2):
        budgets.remove_budget(
            organization_id=organization.pk, budget_id=budget.pk, actor=SYSTEM, now=NOW
        )

    assert woken == [(organization.pk, NOW)]


@pytest.mark.parametrize(("limit", "wakes"), [("2", True), ("1", False), ("0.5", False)])
def test_a_replaced_budget_wakes_who_waits_if_it_is_laxer(
    organization: Organization, woken: Woken, limit: str, *, wakes: bool
) -> None:
    make_budget(organization)

    budgets.set_monthly_budget(
        organization_id=organization.pk,
        monthly_limit=Decimal(limit),
        is_hard=True,
        actor=SYSTEM,
        now=NOW,
    )

    assert woken == [(organization.pk, NOW)] * wakes


def test_a_price_wakes_who_waits_for_one(organization: Organization, woken: Woken) -> None:
    price = make_price(organization)
    own_prices.change_price(
        organization_id=organization.pk,
        price_id=price.pk,
        values={"input_usd": Decimal(0)},
        actor=SYSTEM,
        now=NOW,
    )

    assert woken == [(organization.pk, NOW)] * 2


@pytest.mark.django_db(transaction=True)
def test_of_two_who_set_the_budget_at_once_one_wins(organization: Organization) -> None:
    def put(limit: int) -> Budget:
        return budgets.set_monthly_budget(
            organization_id=organization.pk, monthly_limit=Decimal(limit), actor=SYSTEM, now=NOW
        )

    outcomes = race(*[lambda limit=limit: put(limit) for limit in range(1, 7)])

    assert Budget.objects.filter(is_active=True).count() == 1
    made = [found for found in outcomes if isinstance(found, Budget)]
    assert Budget.objects.count() == len(made)


def limit_agent(organization: Organization, usd: str, now: datetime = NOW) -> Budget | None:
    """What a version of the one agent says."""
    budgets.limit_agent(
        organization_id=organization.pk,
        agent_id=AGENT_ID,
        daily_limit_usd=Decimal(usd),
        actor=SYSTEM,
        now=now,
    )
    return Budget.objects.filter(source="version", is_active=True).first()


def test_an_agents_daily_limit_is_a_hard_budget_that_follows_it(
    organization: Organization, woken: Woken
) -> None:
    make_budget(organization, scope="agent", period="day")
    none = limit_agent(organization, "0")
    made = limit_agent(organization, "1.5")
    again = limit_agent(organization, "1.5")
    lower = limit_agent(organization, "1")
    assert woken == []
    gone = limit_agent(organization, "0")

    assert (none, gone) == (None, None)
    assert made == again == lower
    assert made is not None
    assert lower is not None
    assert (made.limit_usd, lower.limit_usd) == (Decimal("1.5"), Decimal(1))
    assert (made.is_hard, made.period, made.alert_thresholds) == (True, "day", [80, 90, 100])
    assert woken == [(organization.pk, NOW)]
    about = AuditEvent.objects.filter(resource_id=str(made.pk)).order_by("pk")
    assert [row.action for row in about] == ["budget.create", "budget.update", "budget.remove"]


def test_its_thresholds_are_told_of_and_only_the_agent_changes_it(
    organization: Organization,
) -> None:
    budget = limit_agent(organization, "1")
    call = Call(organization.pk, agent_id=AGENT_ID, input_tokens=340_000, output_tokens=0)
    call.reserve()
    call.book(usage=Usage(340_000, 0))

    assert told() == [80]
    assert budget is not None
    with pytest.raises(BudgetOfVersion):
        change_budget(budget, is_hard=False)
    with pytest.raises(BudgetOfVersion):
        budgets.remove_budget(
            organization_id=organization.pk, budget_id=budget.pk, actor=SYSTEM, now=NOW
        )
    with pytest.raises(BudgetExhausted, match=r"the budget of the agent of 1\.0000 USD"):
        Call(organization.pk, agent_id=AGENT_ID, input_tokens=100_000).reserve()


def test_daily_limits_of_agents_that_were_there_before_are_budgets(
    organization: Organization,
) -> None:
    agent = make_agent(organization, daily_budget_usd=Decimal("2.5"))
    make_agent(organization)
    made = Budget.objects.get()
    Budget.objects.all().delete()

    migration = import_module("cost.migrations.0004_unanswered_calls")
    with connection.cursor() as cursor:
        cursor.execute(migration.LIMITS)

    again = Budget.objects.get()
    assert again.subject_id == agent.pk
    for name in ("source", "scope", "period", "limit_usd", "is_hard", "alert_thresholds"):
        assert getattr(again, name) == getattr(made, name)
    assert again.is_active
