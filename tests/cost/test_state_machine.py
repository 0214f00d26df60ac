"""Whatever is reserved, settled and released in whatever order: the windows and a plain model of
the rules agree, and with them the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.models import Organization
from cost.errors import BudgetExhausted
from cost.models import BudgetWindow, Reservation, UsageRecord
from cost.operations import rollup, unanswered, windows
from cost.selectors import reports, spending
from cost.selectors.budgets import list_budgets
from tests.accounts.factories import make_organization
from tests.cost.factories import NOW, Call, Usage, make_budget

# In thousandths of a cent: 1,000 tokens sent cost 250, as many received 1,000.
UNIT: Final = Decimal("0.00001")
LIMITS: Final = {"day": 3_000, "month": 5_000, "agent": 2_000}
AGENTS: Final = (uuid4(), uuid4())


@dataclass
class Held:
    """A call that is under way."""

    call: Call
    worst: int
    begun_on: int
    is_held: bool = True
    is_spent: bool = False


@dataclass
class Rules:
    """What budgets have to do, written down a second time and without a database."""

    spent: dict[tuple[Any, ...], int] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)

    def keys(self, agent_id: UUID, day: int) -> Iterator[tuple[tuple[Any, ...], int]]:
        """The windows of a call, with their limits."""
        yield ("day", day), LIMITS["day"]
        yield ("month", month_of(day)), LIMITS["month"]
        yield ("agent", agent_id), LIMITS["agent"]

    def reserved(self, key: tuple[Any, ...]) -> int:
        """The sum of what is held in a window."""
        return sum(
            held.worst
            for held in self.held
            if held.is_held
            and key in dict(self.keys(held.call.agent_id or AGENTS[0], held.begun_on))
        )

    def fits(self, agent_id: UUID, day: int, worst: int) -> bool:
        """Whether no limit would be passed."""
        return not worst or all(
            self.spent.get(key, 0) + self.reserved(key) + worst <= limit
            for key, limit in self.keys(agent_id, day)
        )


def month_of(day: int) -> int:
    """Which month a day after the first of March is in."""
    return (NOW + timedelta(days=day)).month


class Budgets(RuleBasedStateMachine):
    """Three hard budgets, two agents, days that pass."""

    under_way: Bundle[Held] = Bundle("under_way")

    @initialize()
    def begin(self) -> None:
        self.day, self.plain = 0, Rules()
        self.organization: Organization = make_organization()
        for period in ("day", "month"):
            make_budget(self.organization, str(LIMITS[period] * UNIT), period=period)
        make_budget(self.organization, str(LIMITS["agent"] * UNIT), scope="agent", period="total")

    @property
    def now(self) -> datetime:
        return NOW + timedelta(days=self.day)

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.day += days

    @rule(target=under_way, agent_id=st.sampled_from(AGENTS), kilos=st.integers(0, 2))
    def reserve(self, agent_id: UUID, kilos: int) -> Held:
        call = Call(
            self.organization.pk,
            agent_id=agent_id,
            input_tokens=1_000,
            output_tokens=1_000 * kilos,
            now=self.now,
        )
        held = Held(call, 250 + 1_000 * kilos, self.day)
        fits = self.plain.fits(agent_id, self.day, held.worst)
        try:
            call.reserve()
        except BudgetExhausted:
            held.is_held = False
        assert held.is_held == fits
        if held.is_held:
            self.plain.held.append(held)
        return held

    @rule(held=consumes(under_way), share=st.integers(0, 100))
    def settle(self, held: Held, share: int) -> None:
        """Also of calls that were refused or given back: what is spent is spent, but once."""
        if held.is_spent:
            held.call.book(usage=Usage(1_000, 1), now=self.now)
            return
        tokens = held.call.output_tokens * share // 100
        held.call.book(usage=Usage(1_000, tokens), now=self.now)
        day = held.begun_on if held.is_held else self.day
        self._forget(held)
        self._spend(held, day, 250 + tokens)

    @rule(held=consumes(under_way), is_closed=st.booleans())
    def give_up(self, held: Held, *, is_closed: bool) -> None:
        """Nobody knows what it cost: all that is held for it, if anything is."""
        if is_closed:
            unanswered.book_closed(execution_ids=[held.call.execution_id], now=self.now)
        else:
            held.call.give_up()
        self._assume(held)

    @rule(held=consumes(under_way))
    def release(self, held: Held) -> None:
        held.call.release()
        self._forget(held)

    @rule()
    def sweep(self) -> None:
        unanswered.book_abandoned(now=self.now)
        for held in [held for held in self.plain.held if held.begun_on < self.day]:
            self._assume(held)

    @rule()
    def tidy(self) -> None:
        rollup.roll_usage()
        windows.prune_windows(now=self.now)

    @invariant()
    def they_agree(self) -> None:
        day, month, *_ = (key for key, _ in self.plain.keys(AGENTS[0], self.day))
        rows = list_budgets(organization_id=self.organization.pk).filter(scope="organization")
        found = spending.stand(
            budgets=list(rows), organization_id=self.organization.pk, now=self.now
        )
        for stands in found:
            key = day if stands.budget.period == "day" else month
            assert stands.spent_usd == self.plain.spent.get(key, 0) * UNIT
            assert stands.reserved_usd == self.plain.reserved(key) * UNIT

    @invariant()
    def windows_are_sums(self) -> None:
        kept = BudgetWindow.objects.filter(organization=self.organization)
        for window in kept.filter(scope="agent"):
            key = ("agent", window.subject_id)
            assert window.spent_usd == self.plain.spent.get(key, 0) * UNIT
            assert window.reserved_usd == self.plain.reserved(key) * UNIT
        mine = Reservation.objects.filter(organization_id=self.organization.pk)
        assert mine.count() == len(self.plain.held)

    @invariant()
    def reports_are_the_ledger(self) -> None:
        rows = UsageRecord.objects.filter(organization=self.organization)
        shown = reports.by_agent(organization_id=self.organization.pk, days=366, now=self.now)
        since = self.now - timedelta(days=366)
        plain = rows.filter(occurred_at__gt=since).aggregate(s=Sum("cost_usd", default=0))["s"]
        assert shown.total == plain

    def _assume(self, held: Held) -> None:
        if held.is_held:
            self._spend(held, held.begun_on, held.worst)
            held.is_spent = True
        self._forget(held)

    def _spend(self, held: Held, day: int, units: int) -> None:
        for key, _ in self.plain.keys(held.call.agent_id or AGENTS[0], day):
            self.plain.spent[key] = self.plain.spent.get(key, 0) + units

    def _forget(self, held: Held) -> None:
        held.is_held = False
        self.plain.held = [other for other in self.plain.held if other is not held]


@pytest.mark.django_db
def test_the_windows_the_ledger_and_the_rules_agree() -> None:
    run_state_machine_as_test(
        Budgets,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
