"""Reserving before a call, settling after it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db.models import Sum
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Organization
from audit.models import AuditEvent
from cost.errors import BudgetExhausted, CallUnpriced
from cost.models import BudgetWindow, Reservation, UsageRecord
from cost.operations import budgets, unanswered, windows
from events.models import OutboxEvent
from kernel.actors import SYSTEM
from tests.agents.factories import make_agent
from tests.cost.factories import NOW, Call, Usage, make_budget, make_price, record, window

COST = Decimal("0.0035")


def test_a_call_is_held_then_counted(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk)

    call.reserve()
    held = window()
    call.book(usage=Usage(1_000, 0))

    assert held == (0, COST)
    assert window() == (Decimal("0.0025"), 0)
    assert not Reservation.objects.exists()


def test_without_a_budget_it_is_one_look_and_nothing_is_held(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        Call(organization.pk).reserve()

    assert not Reservation.objects.exists()


def test_with_budgets_it_is_one_statement_each(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    agent_id = uuid4()
    make_budget(organization)
    make_budget(organization, scope="agent", period="day")
    Call(organization.pk, agent_id=agent_id).reserve()

    call = Call(organization.pk, agent_id=agent_id)
    with django_assert_num_queries(1):
        call.reserve()
    with django_assert_num_queries(1):
        call.book()
    with django_assert_num_queries(1):
        call.release()


def test_a_hard_budget_refuses_what_could_pass_it(organization: Organization) -> None:
    budget = make_budget(organization, "0.0090")
    Call(organization.pk).book()
    Call(organization.pk).reserve()

    with pytest.raises(BudgetExhausted) as refused:
        Call(organization.pk).reserve()

    assert refused.value.data == {
        "budget_id": str(budget.pk),
        "scope": "organization",
        "needed_usd": "0.00350000",
        "left_usd": "0.00200000",
        "resets_at": "2026-04-01T00:00:00+00:00",
        "is_fleeting": True,
    }
    assert window() == (COST, COST)
    assert Reservation.objects.count() == 1


def test_what_is_spent_does_not_pass_by_itself(organization: Organization) -> None:
    make_budget(organization, "0.0040")
    Call(organization.pk).book()

    with pytest.raises(BudgetExhausted, match="wait until 2026-04-01 00:00 UTC") as refused:
        Call(organization.pk).reserve()

    assert not refused.value.data["is_fleeting"]


def test_the_limit_itself_may_be_reached(organization: Organization) -> None:
    make_budget(organization, "0.0070")

    Call(organization.pk).reserve()
    Call(organization.pk).reserve()

    assert window() == (0, 2 * COST)


def test_a_soft_budget_refuses_nothing(organization: Organization) -> None:
    make_budget(organization, "0", is_hard=False)

    Call(organization.pk).reserve()

    assert window() == (0, COST)


def test_each_scope_counts_its_own(organization: Organization) -> None:
    agent_id, task_id, execution_id = make_agent(organization).pk, uuid4(), uuid4()
    make_budget(organization, scope="agent", subject_id=agent_id, period="day")
    make_budget(organization, scope="task", period="total")
    make_budget(organization, scope="run", period="total")
    make_budget(organization, scope="agent", subject_id=make_agent(organization).pk)
    call = Call(organization.pk, execution_id, agent_id=agent_id, task_id=task_id)

    call.reserve()
    call.book()
    other = Call(organization.pk, agent_id=agent_id, task_id=task_id)
    other.reserve()

    assert BudgetWindow.objects.count() == 4
    assert window(subject_id=agent_id) == (COST, COST)
    assert window(subject_id=task_id) == (COST, COST)
    assert window(subject_id=execution_id) == (COST, 0)
    assert window(subject_id=other.execution_id) == (0, COST)


def test_a_refusal_of_one_budget_holds_nothing_in_the_others(organization: Organization) -> None:
    agent_id = uuid4()
    make_budget(organization)
    make_budget(organization, "0.001", scope="agent")

    with pytest.raises(BudgetExhausted, match=r"the budget of the agent of 0\.0010 USD"):
        Call(organization.pk, agent_id=agent_id).reserve()

    assert window(scope="organization") == (0, 0)
    assert not Reservation.objects.exists()


def test_a_release_gives_everything_back(organization: Organization) -> None:
    make_budget(organization)
    make_budget(organization, scope="run", period="total")
    call, other = Call(organization.pk), Call(organization.pk)
    for each in (call, other):
        each.reserve()

    call.release()
    call.release()

    assert window(scope="organization") == (0, COST)
    assert window(subject_id=call.execution_id) == (0, 0)


def test_reserving_again_replaces_what_a_dead_worker_left(organization: Organization) -> None:
    make_budget(organization, "0.0040")
    call = Call(organization.pk)
    call.reserve()

    call.reserve(output_tokens=50)

    assert window() == (0, Decimal("0.003"))
    assert Reservation.objects.count() == 1


def test_a_window_begins_with_what_the_ledger_says(organization: Organization) -> None:
    record(organization, now=datetime(2026, 2, 28, tzinfo=UTC))
    record(organization, now=datetime(2026, 3, 1, tzinfo=UTC))
    make_budget(organization, "4")

    with pytest.raises(BudgetExhausted):
        Call(organization.pk, output_tokens=100_000).reserve()

    assert window() == (Decimal("3.5"), 0)


def test_a_new_period_begins_with_nothing(organization: Organization) -> None:
    make_budget(organization, "0.0040", period="day")
    Call(organization.pk).book()
    tomorrow = NOW + timedelta(days=1)

    Call(organization.pk, now=tomorrow).reserve()

    assert window(starts_at=datetime(2026, 3, 2, tzinfo=UTC)) == (0, COST)


def test_a_call_counts_when_it_was_asked_for(organization: Organization) -> None:
    make_budget(organization, period="day")
    late = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    call = Call(organization.pk, now=late)
    call.reserve()
    Call(organization.pk, now=late + timedelta(minutes=1)).reserve()

    booked = call.book(now=late + timedelta(minutes=1))

    assert booked.occurred_at == late
    assert window(starts_at__day=1) == (COST, 0)
    assert window(starts_at__day=2) == (0, COST)


def test_an_unknown_price_stands_before_a_hard_budget(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk, model="llama3.2")

    with pytest.raises(CallUnpriced, match=r"Nobody knows what llama3\.2 of openai") as refused:
        call.reserve()

    assert refused.value.code == "cost.unpriced"
    assert refused.value.data["needed_usd"] is None
    assert not Reservation.objects.exists()


def test_an_unknown_price_passes_a_soft_one_and_is_flagged(organization: Organization) -> None:
    make_budget(organization, is_hard=False)
    call = Call(organization.pk, model="llama3.2")

    call.reserve()
    booked = call.book()

    assert (booked.cost_usd, booked.is_priced) == (Decimal(0), False)
    assert window() == (0, 0)


def test_a_price_of_ones_own_counts(organization: Organization) -> None:
    make_budget(organization)
    make_price(organization)
    make_price(organization, model="Llama3_2", output_usd=Decimal(0))
    call = Call(organization.pk, model="llama3_2")
    other = Call(organization.pk, model="llama3.2")

    call.reserve()
    other.reserve()

    assert window() == (0, Decimal("0.003"))
    assert call.book().price_source == "organization"
    assert other.book().cost_usd == Decimal("0.002")
    assert window() == (Decimal("0.003"), 0)


def test_nothing_is_a_price(organization: Organization) -> None:
    make_budget(organization, "0")
    make_price(organization, input_usd=Decimal(0), output_usd=Decimal(0))
    call = Call(organization.pk, model="llama3.2")

    call.reserve()
    booked = call.book()

    assert (booked.cost_usd, booked.is_priced) == (Decimal(0), True)


def test_a_price_goes_before_the_list(organization: Organization) -> None:
    make_price(organization, model="gpt-4o", input_usd=Decimal(0))

    assert Call(organization.pk).book().cost_usd == Decimal("0.001")


def test_the_demo_provider_is_never_held_up(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_budget(organization, "0")

    with django_assert_num_queries(0):
        Call(organization.pk, provider="demo", model="demo").reserve()


def test_writing_to_the_cache_is_reckoned_with(organization: Organization) -> None:
    make_budget(organization, "10")

    Call(
        organization.pk,
        provider="anthropic",
        model="claude-sonnet-4-0",
        input_tokens=1_000_000,
        output_tokens=0,
    ).reserve()

    assert window() == (0, Decimal("3.75"))


def test_a_dearer_answer_is_booked_and_said(organization: Organization) -> None:
    make_budget(organization, "0.0040")
    call = Call(organization.pk)
    call.reserve()

    call.book(usage=Usage(1_000, 1_000))

    assert window() == (Decimal("0.0125"), 0)
    said = AuditEvent.objects.get(action="budget.overrun").details
    assert (said["reserved_usd"], said["cost_usd"]) == ("0.00350000", "0.01250000")
    assert OutboxEvent.objects.filter(type="budget.overrun").count() == 1


def test_an_unreserved_call_that_breaks_a_hard_budget_is_said(organization: Organization) -> None:
    make_budget(organization, "0.0040")
    Call(organization.pk).reserve()

    for _ in range(3):
        Call(organization.pk).book()

    assert window() == (3 * COST, COST)
    assert AuditEvent.objects.filter(action="budget.overrun").count() == 1


def test_an_answer_without_figures_costs_what_was_held(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()

    booked = call.book(usage=Usage(0, 0, unmeasured_requests=1))

    assert (booked.cost_usd, booked.is_priced, booked.price_source) == (COST, False, "unmeasured")
    assert window() == (COST, 0)


def test_a_call_that_is_booked_twice_counts_once(organization: Organization) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()
    call.book()
    call.reserve()

    call.book()

    assert window() == (COST, 0)


def test_a_replaced_budget_gives_back_all_the_same(organization: Organization) -> None:
    budget = make_budget(organization)
    call = Call(organization.pk)
    call.reserve()
    budgets.remove_budget(
        organization_id=organization.pk, budget_id=budget.pk, actor=SYSTEM, now=NOW
    )

    call.book()

    assert window() == (COST, 0)


def test_another_organization_is_another_matter(
    organization: Organization, other_organization: Organization
) -> None:
    make_budget(organization, "0")
    make_price(organization, model="gpt-4o")

    Call(other_organization.pk).reserve()

    assert Call(other_organization.pk).book().cost_usd == COST


def test_old_windows_go_and_come_back_as_they_were(organization: Organization) -> None:
    task_id = uuid4()
    make_budget(organization, scope="task", period="total")
    make_budget(organization, period="day")
    Call(organization.pk, task_id=task_id).book()
    Call(organization.pk, task_id=task_id).reserve()
    unanswered.book_abandoned(now=NOW + timedelta(hours=1))

    assert windows.prune_windows(now=NOW + timedelta(days=40)) == 2
    Call(organization.pk, task_id=task_id).reserve()

    assert window(subject_id=task_id) == (2 * COST, COST)
    assert UsageRecord.objects.aggregate(spent=Sum("cost_usd"))["spent"] == 2 * COST
