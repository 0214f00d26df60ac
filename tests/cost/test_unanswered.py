"""Calls whose answer nobody got: what was held for them is spent."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from accounts.models import Organization
from cost.errors import BudgetExhausted
from cost.models import BudgetWindow, Reservation, UsageRecord
from cost.operations import rollup, unanswered
from cost.selectors import reports
from cost.selectors.usage import costs_of_runs
from events.models import OutboxEvent
from tests.cost.factories import NOW, Call, Usage, make_budget, window

COST = Decimal("0.0035")
LATER = NOW + timedelta(minutes=16)


def test_a_call_that_is_given_up_costs_what_was_held(organization: Organization) -> None:
    make_budget(organization, "0.0040")
    call = Call(organization.pk, agent_id=uuid4(), task_id=uuid4())
    call.reserve(user_id=uuid4())

    call.give_up()
    call.give_up()

    row = UsageRecord.objects.get()
    assert (row.cost_usd, row.price_source, row.is_priced) == (COST, "estimated", True)
    assert (row.agent_id, row.task_id, row.execution_id) == (
        call.agent_id,
        call.task_id,
        call.execution_id,
    )
    assert (row.provider, row.model, row.input_tokens) == ("openai", "gpt-4o", 0)
    assert row.user_id is not None
    assert window() == (COST, 0)
    with pytest.raises(BudgetExhausted):
        Call(organization.pk).reserve()


def test_another_model_answers_under_the_same_number(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()
    call.give_up()
    call.reserve()
    call.give_up()

    call.reserve(model="gpt-4o-mini")
    call.book(model="gpt-4o-mini")

    assert [row.ordinal for row in UsageRecord.objects.order_by("number")] == [None, None, 0]
    assert window() == (2 * COST + Decimal("0.00021"), 0)


def test_an_answer_that_comes_after_all_changes_nothing(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()
    unanswered.book_closed(execution_ids=[call.execution_id], now=NOW)

    late = call.book(usage=Usage(10, 1))

    assert (late.cost_usd, late.price_source) == (COST, "estimated")
    assert window() == (COST, 0)


def test_what_nobody_closes_is_spent_later(organization: Organization) -> None:
    make_budget(organization)
    make_budget(organization, scope="agent", period="day")
    for _ in range(2):
        Call(organization.pk, agent_id=uuid4()).reserve()
    Call(organization.pk, now=NOW + timedelta(minutes=10)).reserve()

    assert unanswered.book_abandoned(now=LATER) == 2

    assert window(scope="organization") == (2 * COST, COST)
    assert {row.occurred_at for row in UsageRecord.objects.all()} == {NOW}
    assert not BudgetWindow.objects.filter(scope="agent", reserved_usd__gt=0).exists()


def test_what_old_code_held_is_given_back(organization: Organization) -> None:
    make_budget(organization)
    Call(organization.pk).reserve()
    Reservation.objects.update(provider="")

    unanswered.book_abandoned(now=LATER)

    assert window() == (0, 0)
    assert not UsageRecord.objects.exists()


def test_nothing_held_is_nothing_spent(organization: Organization) -> None:
    make_budget(organization, is_hard=False)
    Call(organization.pk, model="llama3.2").reserve()
    Call(organization.pk).give_up()

    assert unanswered.book_abandoned(now=LATER) == 1

    assert not UsageRecord.objects.exists()
    assert not Reservation.objects.exists()


def test_thresholds_are_told_and_reports_know(organization: Organization) -> None:
    make_budget(organization, "0.0040", alert_thresholds=[50])
    call = Call(organization.pk, agent_id=uuid4())
    call.reserve()

    held = costs_of_runs(execution_ids=[call.execution_id])
    call.give_up()
    rollup.roll_usage()

    (spent,) = costs_of_runs(execution_ids=[call.execution_id, uuid4()]).values()
    assert [(cost.cost_usd, cost.is_held) for cost in held.values()] == [(COST, True)]
    assert (spent.cost_usd, spent.is_held) == (COST, False)
    assert OutboxEvent.objects.filter(type="budget.threshold").count() == 1
    assert OutboxEvent.objects.filter(type="budget.overrun").count() == 0
    shown = reports.by_agent(organization_id=organization.pk, days=1, now=NOW)
    assert (shown.total, shown.items[0].sums.unpriced_calls) == (COST, 0)
