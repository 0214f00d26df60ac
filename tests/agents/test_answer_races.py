"""A model's answer that comes while its run is closed: paid for once, on record whole or not."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Organization
from agents.choices import ExecutionSource
from agents.errors import RunWithoutLease
from agents.models import AgentExecution, ExecutionStep
from agents.operations import executions, model_turns
from cost.models import BudgetWindow, Reservation, UsageRecord
from cost.operations import unanswered
from kernel import clock
from tasks.models import Task
from tasks.operations import endings, requests, sweeps
from tasks.operations.claims import Claim
from tests.agents.factories import failed, make_agent, reserve
from tests.agents.test_executions import model_turn
from tests.cost.factories import make_budget
from tests.tasks.factories import LEASE, act, claim_all, claim_one, make_task
from tests.threads import Pool, behind, race

pytestmark = pytest.mark.django_db(transaction=True)
# 1,000 tokens sent to gpt-4o-mini with 1,000 or with 100 received.
HELD: Final = Decimal("0.00075")
PAID: Final = Decimal("0.00021")


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run whose first model call has gone out, with the most that it can cost held for it."""

    claim: Claim
    execution: AgentExecution

    @property
    def task(self) -> Task:
        return Task.objects.get(pk=self.claim.task_id)

    def answer(self) -> None:
        """The worker writes what it was told."""
        model_turns.record_turn(
            execution=self.execution, ordinal=1, turn=model_turn(), now=clock.now()
        )


def send(claim: Claim, execution: AgentExecution) -> UnderWay:
    """Let a call of the execution go out."""
    reserve(execution)
    return UnderWay(claim, execution)


@pytest.fixture
def run(organization: Organization) -> UnderWay:
    make_budget(organization, period="total")
    make_budget(organization, scope="agent", period="total")
    claim = claim_one(make_task(organization, agent=make_agent(organization)))
    return send(claim, claim.execution)


def settle(run: UnderWay) -> None:
    """As after the time that the run was given."""
    endings.settle_attempt(claim=run.claim, result=failed(), now=clock.now())


CLOSERS: Final[dict[str, Callable[[UnderWay], Any]]] = {
    "cancelled": lambda run: act(requests.cancel_task, run.task),
    "lease lost": lambda _: sweeps.sweep_tasks(now=clock.now() + 2 * LEASE),
    "out of time": settle,
}


def spent() -> Decimal:
    """What the ledger says, and all that counts beside it must."""
    booked = UsageRecord.objects.aggregate(s=Sum("cost_usd", default=Decimal(0)))["s"]
    found: Decimal = booked
    windows = set(BudgetWindow.objects.values_list("scope", "spent_usd", "reserved_usd"))
    assert windows == {("organization", found, Decimal(0)), ("agent", found, Decimal(0))}
    assert not Reservation.objects.exists()
    return found


def lock_windows() -> None:
    """As other calls do that are booked; an answer waits for it with its run locked."""
    list(BudgetWindow.objects.select_for_update())


def steps() -> list[tuple[int, Decimal]]:
    """Which answers are on record, with what they cost."""
    return list(ExecutionStep.objects.values_list("ordinal", "cost_usd"))


@pytest.mark.parametrize("close", CLOSERS.values(), ids=CLOSERS.keys())
def test_who_closes_the_run_behind_its_answer_counts_that(
    run: UnderWay, close: Callable[[UnderWay], Any]
) -> None:
    _, answered, _ = behind(lock_windows, run.answer, partial(close, run))

    execution = AgentExecution.objects.get()
    assert (answered, execution.status != "running") == (None, True)
    assert (spent(), steps()) == (PAID, [(1, PAID)])
    assert (execution.cost_usd, execution.input_tokens) == (PAID, 1000)
    assert (run.task.cost_usd, run.task.cost_tokens) == (PAID, 1100)


@pytest.mark.parametrize("close", [CLOSERS["cancelled"], settle], ids=["cancelled", "out of time"])
def test_an_answer_behind_the_end_of_its_run_was_paid_for_with_that(
    run: UnderWay, close: Callable[[UnderWay], Any]
) -> None:
    """Nobody knew what it cost when the run was closed: the most that it can have."""
    _, late = behind(partial(close, run), run.answer)

    execution = AgentExecution.objects.get()
    assert isinstance(late, RunWithoutLease)
    assert (spent(), steps()) == (HELD, [])
    assert (execution.cost_usd, run.task.cost_usd) == (HELD, HELD)


def test_an_answer_behind_the_sweep_that_gave_it_up_is_on_record_with_what_that_booked(
    run: UnderWay,
) -> None:
    """The statement that waits for the sweep began before it was there."""
    later = clock.now() + timedelta(minutes=16)

    _, answered = behind(partial(unanswered.book_abandoned, now=later), run.answer)

    assert answered is None
    assert (spent(), steps()) == (HELD, [(1, HELD)])


def test_a_sweep_passes_over_what_is_answered_just_now(run: UnderWay) -> None:
    later = clock.now() + timedelta(minutes=16)

    def sweep() -> int:
        with closing(connection):
            return unanswered.book_abandoned(now=later)

    with transaction.atomic(), Pool(1) as pool:
        run.answer()
        swept = pool.submit(sweep).result(20)

    assert (swept, spent(), steps()) == (0, PAID, [(1, PAID)])


def test_the_answer_of_a_called_agent_and_the_end_of_its_caller_count_once(
    organization: Organization, run: UnderWay
) -> None:
    helper = make_agent(organization)
    version = helper.current_version
    assert version is not None
    opening = executions.Opening(
        version=version,
        agent_name=helper.name,
        input="Help.",
        task_id=run.claim.task_id,
        attempt_id=None,
        source=ExecutionSource.AGENT,
        parent=run.execution,
    )
    (child,) = executions.open_executions(openings=[opening], now=clock.now())
    run.answer()
    called = send(run.claim, child)

    behind(lock_windows, called.answer, partial(act, requests.cancel_task, run.task))

    child.refresh_from_db()
    helper.refresh_from_db()
    caller = AgentExecution.objects.get(pk=run.execution.pk)
    assert (child.status, child.cost_usd, helper.total_cost_usd) == ("cancelled", PAID, PAID)
    assert (caller.cost_usd, caller.below_cost_usd) == (PAID, PAID)
    assert run.task.cost_usd == 2 * PAID
    assert UsageRecord.objects.count() == 2
    assert not Reservation.objects.exists()


def test_of_many_runs_whatever_comes_first_each_call_is_paid_for_once(
    organization: Organization,
) -> None:
    make_budget(organization, period="total")
    agent = make_agent(organization, max_concurrent_tasks=6)
    for _ in range(6):
        make_task(organization, agent=agent)
    runs = [send(claim, claim.execution) for claim in claim_all()]

    outcomes = race(
        *[run.answer for run in runs],
        *[partial(CLOSERS["cancelled"], run) for run in runs[:3]],
        *[partial(settle, run) for run in runs[3:]],
    )

    late = [isinstance(found, RunWithoutLease) for found in outcomes[:6]]
    assert [type(found) for found in outcomes[6:]] == [Task] * 3 + [type(None)] * 3
    for run, is_late in zip(runs, late, strict=True):
        (booked,) = UsageRecord.objects.filter(execution_id=run.execution.pk)
        run.execution.refresh_from_db()
        assert booked.cost_usd == (HELD if is_late else PAID)
        assert run.execution.cost_usd == run.task.cost_usd == booked.cost_usd
        assert run.execution.steps.count() == (0 if is_late else 1)
    window = BudgetWindow.objects.get()
    assert window.spent_usd == late.count(True) * HELD + late.count(False) * PAID
    assert window.reserved_usd == 0
