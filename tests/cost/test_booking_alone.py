"""A call is booked in one message that ends its transaction, unless something follows from it."""

from decimal import Decimal
from itertools import product

import pytest
from django.db import connection, transaction
from django.db.models import F
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from audit.models import AuditEvent
from cost.models import Budget, BudgetWindow, Reservation, UsageRecord
from cost.operations import alerts, ledger
from cost.operations.alerts import Counted
from events.models import OutboxEvent
from tests.cost.factories import NOW, Call, Usage, make_budget, window

COST = Decimal("0.0035")
ALONE = f"SELECT * FROM {ledger.book_sql(is_alone=True)}"
BOOK = f"SELECT * FROM {ledger.book_sql()}"


@pytest.mark.django_db(transaction=True)
def test_one_message_books_and_commits(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()

    with django_assert_num_queries(1):
        booked = call.book()

    assert UsageRecord.objects.get().cost_usd == booked.cost_usd == COST
    assert window() == (COST, 0)


@pytest.mark.django_db(transaction=True)
def test_what_a_budget_is_told_commits_with_the_call(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_budget(organization, str(2 * COST), alert_thresholds=[50])
    call = Call(organization.pk)
    call.reserve()

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "tell", failing)
        with pytest.raises(RuntimeError):
            call.book()
    undone = UsageRecord.objects.count(), window()
    booked = call.book()

    assert undone == (0, (0, COST))
    assert UsageRecord.objects.get().pk == booked.pk
    assert window(alerted_percent=50) == (COST, 0)
    assert AuditEvent.objects.filter(action="budget.alert").count() == 1
    assert OutboxEvent.objects.filter(type="budget.threshold").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_call_that_was_booked_before_is_that_one(organization: Organization) -> None:
    call = Call(organization.pk)

    first, second = call.book(), call.book()

    assert first.pk == second.pk == UsageRecord.objects.get().pk


STATES = list(
    product(
        ["0", "0.0035", "0.007", "0.01"],  # the limit
        ["0", "0.0034", "0.0035", "0.006"],  # spent before
        [0, 50, 100],  # told of
        [True, False],  # whether that was under this limit
        [True, False],  # hard
        [None, "0.0034", "0.0035"],  # held
    )
)


def test_it_stops_where_something_is_told_and_nowhere_else(organization: Organization) -> None:
    """Every 13th state; the condition is written in SQL, what is told in Python."""
    budget = make_budget(organization, is_hard=False, alert_thresholds=[50, 100])
    Call(organization.pk).reserve()
    found = {True: 0, False: 0}

    for state in STATES[::13]:
        with transaction.atomic():
            is_told, is_booked = outcome(organization, budget, state)
            transaction.set_rollback(True)
        assert is_booked is not is_told, state
        found[is_booked] += 1

    assert min(found.values()) > 5


def outcome(
    organization: Organization,
    budget: Budget,
    state: tuple[str, str, int, bool, bool, str | None],
) -> tuple[bool, bool]:
    """Whether something is told of a call in this state, and whether it is booked alone."""
    limit, spent, told, is_same, is_hard, held = state
    Budget.objects.filter(pk=budget.pk).update(limit_usd=Decimal(limit), is_hard=is_hard)
    BudgetWindow.objects.update(
        spent_usd=Decimal(spent),
        alerted_percent=told,
        alerted_limit_usd=Decimal(limit if is_same else "0.02"),
    )
    call = Call(organization.pk)
    if held is not None:
        hold(call, Decimal(held))
    booking = ledger.prepare(
        organization_id=organization.pk,
        provider=call.provider,
        model=call.model,
        usage=Usage(call.input_tokens, call.output_tokens),
        execution_id=call.execution_id,
        ordinal=call.ordinal,
        now=NOW,
    )
    with connection.cursor() as cursor:
        cursor.execute(ALONE, booking.parameters)
        alone = cursor.fetchall()
        is_untouched = not UsageRecord.objects.exists()
        assert is_untouched is not bool(alone)
        if alone:
            return tells(alone), True
        cursor.execute(BOOK, booking.parameters)
        return tells(cursor.fetchall()), False


def hold(call: Call, amount_usd: Decimal) -> None:
    (stored,) = BudgetWindow.objects.all()
    BudgetWindow.objects.update(reserved_usd=F("reserved_usd") + amount_usd)
    Reservation.objects.create(
        organization_id=call.organization_id,
        execution_id=call.execution_id,
        ordinal=call.ordinal,
        provider=call.provider,
        model=call.model,
        amount_usd=amount_usd,
        window_ids=[stored.pk],
        created_at=NOW,
    )


def tells(rows: list[tuple[object, ...]]) -> bool:
    cost, held = rows[0][0], rows[0][4]
    assert isinstance(cost, Decimal)
    counted = [Counted(*row[5:]) for row in rows if row[5] is not None]  # type: ignore[arg-type]
    is_more = isinstance(held, Decimal) and cost > held
    return is_more or any(each.passed(cost) or each.broke(cost) for each in counted)


def failing(**_: object) -> None:
    raise RuntimeError
