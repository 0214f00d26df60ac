"""Many calls at once: budgets hold, sums are exact, nobody waits for each other."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Organization
from cost.errors import BudgetExhausted
from cost.models import BudgetWindow, Reservation, UsageDay, UsageRecord
from cost.operations import rollup, unanswered
from cost.selectors import reports
from events.models import OutboxEvent
from tests.cost.factories import NOW, Call, Usage, make_budget, record
from tests.threads import Gate, Pool, Waiters, race

pytestmark = pytest.mark.django_db(transaction=True)
CALLS = 200
THREADS = 16


def spent(**values: Any) -> Decimal:
    """What the ledger says."""
    return sum((row.cost_usd for row in UsageRecord.objects.filter(**values)), Decimal(0))


def in_threads(attempt: Callable[[int], str]) -> Counter[str]:
    """`attempt` of 200 numbers in 16 threads; how they ended."""

    def work(thread: int) -> list[str]:
        return [attempt(number) for number in range(thread, CALLS, THREADS)]

    found = race(*[partial(work, thread) for thread in range(THREADS)])
    return Counter(outcome for outcomes in found for outcome in outcomes)


def hold(call: Call) -> bool:
    """Whether there was room for the call."""
    try:
        call.reserve()
    except BudgetExhausted:
        return False
    return True


AGENTS = (uuid4(), uuid4())


def test_200_calls_at_once_never_spend_more_than_a_dollar(organization: Organization) -> None:
    make_budget(organization, "1")
    make_budget(organization, "0.60", scope="agent", period="day")

    def attempt(number: int) -> str:
        call = Call(organization.pk, agent_id=AGENTS[number % 2], output_tokens=750)
        if not hold(call):
            return "refused"
        if number % 7 == 0:
            call.release()
            return "released"
        if number % 5 == 0:
            call.give_up()
            return "given up"
        with transaction.atomic():
            call.book(usage=Usage(1_000, 750 if number % 2 else 250))
        return "booked"

    outcomes = in_threads(attempt)

    assert sum(outcomes.values()) == CALLS
    assert outcomes["refused"] > 0
    assert outcomes["given up"] > 0
    assert Decimal("0.90") < spent() <= 1
    assert all(spent(agent_id=agent_id) <= Decimal("0.60") for agent_id in AGENTS)
    assert not Reservation.objects.exists()
    for window in BudgetWindow.objects.all():
        subject = {"agent_id": window.subject_id} if window.scope == "agent" else {}
        assert (window.spent_usd, window.reserved_usd) == (spent(**subject), Decimal(0))


def test_what_is_held_counts_as_much_as_what_is_spent(organization: Organization) -> None:
    make_budget(organization, "1")

    outcomes = in_threads(lambda _: str(hold(Call(organization.pk, output_tokens=750))))

    assert outcomes == {"True": 100, "False": 100}


def test_a_threshold_is_told_of_once(organization: Organization) -> None:
    make_budget(organization, "0.016", alert_thresholds=[50, 100], is_hard=False)
    calls = [Call(organization.pk, output_tokens=0) for _ in range(8)]
    for call in calls:
        call.reserve()

    race(*[call.book for call in calls])

    told = OutboxEvent.objects.filter(type="budget.threshold")
    assert sorted(event.data["threshold"] for event in told) == [50, 100]


def test_a_call_that_settles_while_a_window_is_made_is_in_it(organization: Organization) -> None:
    """It reserved nothing, because there was no budget yet."""
    gate = Gate()
    make_budget(organization)

    def settle() -> None:
        with transaction.atomic():
            Call(organization.pk).book()
            gate()

    def reserve() -> None:
        gate.wait()
        Call(organization.pk).reserve()

    def open_when_it_waits() -> None:
        gate.wait()
        Waiters().wait_for(1)
        gate.open()

    assert race(settle, reserve, open_when_it_waits) == [None, None, None]
    window = BudgetWindow.objects.get()
    assert (window.spent_usd, window.reserved_usd) == (Decimal("0.0035"), Decimal("0.0035"))


def test_a_new_run_does_not_wait_for_who_is_settling(organization: Organization) -> None:
    make_budget(organization, scope="run", period="total")
    gate = Gate()

    def settle() -> None:
        with transaction.atomic():
            Call(organization.pk).book()
            gate()

    def begin() -> None:
        gate.wait()
        Call(organization.pk).reserve()
        gate.open()

    assert race(settle, begin) == [None, None]


def test_a_run_that_is_closed_while_its_call_settles_is_booked_once(
    organization: Organization,
) -> None:
    make_budget(organization)
    make_budget(organization, scope="agent", period="day")
    calls = [Call(organization.pk, agent_id=AGENTS[number % 2]) for number in range(8)]
    for call in calls:
        call.reserve()

    def close() -> None:
        unanswered.book_closed(execution_ids=[call.execution_id for call in calls], now=NOW)

    outcomes = race(
        *[call.book for call in calls],
        transaction.atomic(close),
        lambda: unanswered.book_abandoned(now=NOW + timedelta(hours=1)),
    )

    assert not [found for found in outcomes if isinstance(found, Exception)]
    by_agent = {
        agent_id: sum(row.cost_usd for row in UsageRecord.objects.filter(agent_id=agent_id))
        for agent_id in AGENTS[:2]
    }
    windows = BudgetWindow.objects.values_list("subject_id", "spent_usd")
    assert dict(windows) == {organization.pk: spent(), **by_agent}
    assert not BudgetWindow.objects.exclude(reserved_usd=0).exists()
    assert UsageRecord.objects.count() == len(calls)


def test_days_are_exact_while_others_book(organization: Organization) -> None:
    agents: list[UUID | None] = [uuid4(), None]

    def book(number: int) -> None:
        for turn in range(12):
            with transaction.atomic():
                record(
                    organization,
                    agent_id=agents[turn % 2],
                    usage=Usage(1 + number, turn),
                    now=NOW - timedelta(days=turn % 3),
                )
        connection.close()

    def roll(_: int) -> bool:
        try:
            for _ in range(6):
                rollup.roll_usage()
                with transaction.atomic():
                    connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    shown = reports.by_provider(organization_id=organization.pk, days=9, now=NOW)
                    if shown.total != spent():
                        return False
        finally:
            connection.close()
        return True

    with Pool(10) as pool:
        writers = [pool.submit(book, number) for number in range(6)]
        exact = list(pool.map(roll, range(3)))
        for writer in writers:
            writer.result(60)

    assert exact == [True] * 3
    rollup.roll_usage()
    assert UsageDay.objects.aggregate(s=Sum("cost_usd"), c=Sum("calls")) == {
        "s": spent(),
        "c": 6 * 12,
    }
    assert UsageDay.objects.count() == 6
