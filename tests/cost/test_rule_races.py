"""Budgets and prices that people change while calls are under way."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import Sum

from accounts.models import Organization
from cost.errors import BudgetExhausted
from cost.models import BudgetWindow, ModelPrice, Reservation, UsageRecord
from cost.operations import own_prices, unanswered
from events.models import OutboxEvent
from kernel.actors import SYSTEM
from tests.cost.factories import NOW, Call, change_budget, make_budget, make_price, window
from tests.threads import Gate, behind, race

pytestmark = pytest.mark.django_db(transaction=True)
COST: Final = Decimal("0.0035")


def beside(writer: Callable[[], Any], caller: Callable[[], Any]) -> None:
    """Have `caller` come and go between what `writer` writes and its commit."""
    gate = Gate()

    def write() -> None:
        with transaction.atomic():
            writer()
            gate()

    def call() -> None:
        gate.wait()
        try:
            caller()
        finally:
            gate.open()

    assert race(write, call) == [None, None]


def assert_exact() -> None:
    """Nothing is held any more, and each window has counted what the ledger says."""
    assert not Reservation.objects.exists()
    for each in BudgetWindow.objects.all():
        counts = {"agent_id": each.subject_id} if each.scope == "agent" else {}
        rows = UsageRecord.objects.filter(**counts)
        booked = rows.aggregate(s=Sum("cost_usd", default=Decimal(0)))["s"]
        assert (each.spent_usd, each.reserved_usd) == (booked, Decimal(0))


def test_a_call_counts_by_the_limit_that_stands_and_the_next_one_by_the_lower(
    organization: Organization,
) -> None:
    budget = make_budget(organization, "0.0100")
    call = Call(organization.pk)

    beside(partial(change_budget, budget, limit_usd=Decimal("0.0040")), call.reserve)

    with pytest.raises(BudgetExhausted):
        Call(organization.pk).reserve()
    call.book()
    assert window() == (COST, 0)
    assert_exact()


def test_a_call_behind_the_one_that_takes_the_room_is_refused(organization: Organization) -> None:
    make_budget(organization, "0.0110")
    calls = [Call(organization.pk) for _ in range(4)]
    calls[0].reserve()

    outcomes = behind(*[call.reserve for call in calls[1:]])

    refused = [isinstance(found, BudgetExhausted) for found in outcomes]
    assert refused.count(True) == 1
    assert window() == (0, 3 * COST)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ([{"limit_usd": Decimal(usd)} for usd in ("0.0100", "0.0200", "0.0040")], "0.0200"),
        ([{"is_hard": False}, {"is_hard": True}, {"alert_thresholds": [1, 99]}], None),
        ([{"is_active": False}, {"is_active": True}], None),
    ],
    ids=["limit", "hard or soft", "on or off"],
)
def test_whatever_is_changed_beside_calls_nothing_stays_held_and_all_is_counted(
    organization: Organization, changes: list[dict[str, Any]], most: str | None
) -> None:
    agent_id = uuid4()
    budget = make_budget(organization, "0.0200")
    make_budget(organization, scope="agent", period="total")

    def ask(number: int) -> None:
        for _ in range(3):
            call = Call(organization.pk, agent_id=agent_id)
            try:
                call.reserve()
            except BudgetExhausted:
                continue
            (call.book, call.give_up, call.release)[number % 3]()

    def rule() -> None:
        for values in changes * 3:
            change_budget(budget, **values)

    outcomes = race(*[partial(ask, number) for number in range(6)], rule)

    assert outcomes == [None] * 7
    assert_exact()
    if most is not None:
        assert window(scope="organization")[0] <= Decimal(most)


@pytest.mark.parametrize("way", ["given up", "given back"])
@pytest.mark.parametrize("first", ["the call", "the run"])
def test_a_call_without_an_answer_beside_the_end_of_its_run_is_settled_once(
    organization: Organization, way: str, first: str
) -> None:
    make_budget(organization)
    call = Call(organization.pk)
    call.reserve()

    def close() -> None:
        unanswered.book_closed(execution_ids=[call.execution_id], now=NOW)

    settle = call.give_up if way == "given up" else call.release
    pair = (settle, transaction.atomic(close))
    assert behind(*pair if first == "the call" else reversed(pair)) == [None, None]

    booked = list(UsageRecord.objects.values_list("cost_usd", flat=True))
    assert booked == ([] if (way, first) == ("given back", "the call") else [COST])
    assert_exact()


def test_a_budget_that_counts_again_knows_what_calls_under_way_hold(
    organization: Organization,
) -> None:
    """They began while it did not count, and are held in another one."""
    budget = make_budget(organization, "0.0060")
    make_budget(organization, scope="agent", period="total")
    first, second = (Call(organization.pk, agent_id=uuid4()) for _ in range(2))
    first.reserve()
    change_budget(budget, is_active=False)
    second.reserve()

    change_budget(budget, is_active=True)

    assert window(budget_id=budget.pk) == (0, 2 * COST)
    with pytest.raises(BudgetExhausted):
        Call(organization.pk).reserve()
    first.book()
    second.book()
    assert_exact()


def test_a_call_beside_a_budget_that_is_switched_on_is_held_in_it(
    organization: Organization,
) -> None:
    budget = make_budget(organization, "0.0060")
    make_budget(organization, scope="agent", period="total")
    Call(organization.pk, agent_id=uuid4()).reserve()
    change_budget(budget, is_active=False)

    _, second = behind(
        partial(change_budget, budget, is_active=True),
        Call(organization.pk, agent_id=uuid4()).reserve,
    )

    assert isinstance(second, BudgetExhausted)
    assert window(budget_id=budget.pk) == (0, COST)


def set_price(price: ModelPrice, usd: str) -> None:
    """Of a million tokens, sent or received."""
    own_prices.change_price(
        organization_id=price.organization_id,
        price_id=price.pk,
        values={"input_usd": Decimal(usd), "output_usd": Decimal(usd)},
        actor=SYSTEM,
        now=NOW,
    )


def test_a_call_beside_a_price_that_changes_costs_what_stands(organization: Organization) -> None:
    make_budget(organization)
    price = make_price(organization)
    call = Call(organization.pk, model="llama3.2")
    call.reserve()

    beside(partial(set_price, price, "5"), call.book)

    assert UsageRecord.objects.get().cost_usd == Decimal("0.0020")
    assert_exact()


def test_a_price_that_rises_under_a_call_is_booked_and_said(organization: Organization) -> None:
    """It says that the call was dearer all the time."""
    make_budget(organization, "0.0030")
    price = make_price(organization)
    call = Call(organization.pk, model="llama3.2")
    call.reserve()
    set_price(price, "5")

    call.book()

    told = OutboxEvent.objects.get(type="budget.overrun").data
    assert (told["reserved_usd"], told["cost_usd"]) == ("0.00200000", "0.00550000")
    assert window() == (Decimal("0.0055"), 0)
    assert_exact()


def test_no_call_has_one_price_for_what_is_sent_and_another_for_what_is_received(
    organization: Organization,
) -> None:
    make_budget(organization)
    price = make_price(organization, output_usd=Decimal(1))

    def ask() -> None:
        for _ in range(4):
            call = Call(organization.pk, model="llama3.2")
            call.reserve()
            call.book()

    def reprice() -> None:
        for _ in range(4):
            set_price(price, "5")
            set_price(price, "1")

    assert race(*[ask] * 4, reprice) == [None] * 5
    costs = set(UsageRecord.objects.values_list("cost_usd", flat=True))
    assert costs <= {Decimal("0.0011"), Decimal("0.0055")}
    assert UsageRecord.objects.count() == 16
    assert_exact()
