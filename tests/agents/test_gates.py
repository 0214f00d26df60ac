"""The gate before model calls: what it takes it gives back."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Organization
from agents.choices import ExecutionStatus
from agents.errors import RunWithoutLease
from agents.models import AgentExecution, AgentVersion
from agents.operations import executions
from agents.operations.gates import RunGate
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall
from agents.runtime.spec import FailureKind, RunFailure
from breakers.choices import Forced, Outcome
from breakers.operations import calls, switches
from cost.models import BudgetWindow, Reservation, UsageRecord
from kernel import clock, loop
from limits.operations import standings
from tests.agents.factories import make_agent
from tests.breakers.factories import NAME, make_breaker, switch
from tests.limits.factories import make_limit, take
from tests.tasks.factories import claim_one, make_task

pytestmark = pytest.mark.django_db(transaction=True)
CALL = ModelCall(
    ordinal=1,
    provider=NAME.removeprefix("provider:"),
    model="gpt-4o",
    input_tokens=1000,
    output_tokens=1000,
)


def make_run(
    organization: Organization, *, key: str = "", **values: Any
) -> tuple[AgentExecution, AgentVersion]:
    """A run that has just begun, and its version."""
    agent = make_agent(organization, **values)
    claim = claim_one(make_task(organization, agent=agent, concurrency_key=key))
    return claim.execution, claim.version


def test_a_run_cancelled_while_it_asks_gives_its_permit_back(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization)
    asked, go = threading.Event(), threading.Event()
    outcomes: list[Outcome] = []
    permit = calls.permit

    def slowly(**values: Any) -> calls.Permit:
        asked.set()
        assert go.wait(10)
        return permit(**values)

    monkeypatch.setattr(calls, "permit", slowly)
    monkeypatch.setattr(calls, "report", lambda **told: outcomes.append(told["outcome"]))
    gate = RunGate(*make_run(organization, daily_budget_usd=Decimal(9)))

    async def run() -> None:
        try:
            await gate.enter(CALL, 1)
        finally:
            await gate.close()

    async def cancelled() -> None:
        task = asyncio.create_task(run())
        await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        loop.get().submit(cancelled()).result(20)
    finally:
        loop.stop(timeout=5)

    assert outcomes == [Outcome.UNKNOWN]
    assert (Reservation.objects.count(), UsageRecord.objects.count()) == (0, 0)  # never sent


def test_a_call_without_money_gives_its_permit_back_and_holds_nothing(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = []
    report = calls.report

    def listen(**told: Any) -> None:
        outcomes.append(told["outcome"])
        report(**told)

    monkeypatch.setattr(calls, "report", listen)
    gate = RunGate(*make_run(organization, daily_budget_usd=Decimal("0.0001")))

    async def enter() -> RunFailure:
        with pytest.raises(RunStopped) as stopped:
            await gate.enter(CALL, 1)
        await gate.close()
        return stopped.value.failure

    failure = loop.get().submit(enter()).result(20)

    assert failure.kind is FailureKind.BUDGET_EXHAUSTED
    assert (outcomes, Reservation.objects.count()) == ([Outcome.UNKNOWN], 0)


def enter(gate: RunGate, ordinal: int = 1) -> RunFailure | None:
    """One call that is answered with 30 tokens, or why it did not go out."""

    async def run() -> RunFailure | None:
        try:
            await gate.enter(CALL, ordinal)
        except RunStopped as stopped:
            return stopped.failure
        gate.answered(30)
        await gate.close()
        return None

    return loop.get().submit(run()).result(20)


def test_a_call_counts_for_agent_provider_and_key_and_is_settled(
    organization: Organization,
) -> None:
    execution, version = make_run(organization, key="k")
    rules = [
        make_limit(organization, scope=scope, name=name, tokens_per_minute=2500)
        for scope, name in (
            ("agent", str(execution.agent_id)),
            ("provider", CALL.provider),
            ("key", "k"),
        )
    ]

    assert [enter(RunGate(execution, version), n) for n in (1, 2)] == [None, None]

    shown = standings.show(rules=rules, now=clock.now())
    assert {(each.requests, each.tokens) for each in shown} == {(2, 60)}


def test_a_call_over_the_limit_of_the_minute_stops_the_run(organization: Organization) -> None:
    execution, version = make_run(organization)
    rule = make_limit(organization, scope="agent", name="*", requests_per_minute=1)
    gate = RunGate(execution, version)

    assert enter(gate) is None
    failure = enter(gate, 2)

    assert failure is not None
    assert (failure.kind, failure.held_by) == (FailureKind.RATE_LIMIT, rule.pk)
    assert f"The limit of agent {execution.agent_name} for one minute" in failure.message
    assert failure.retry_after_seconds is not None
    assert 50 < failure.retry_after_seconds <= 60


@pytest.mark.parametrize(("seconds", "waits"), [(20, True), (0.01, False)])
def test_a_call_whose_turn_comes_in_a_moment_waits_for_it(
    organization: Organization, seconds: float, *, waits: bool
) -> None:
    execution, version = make_run(organization, key="k")
    make_limit(organization, name="k", requests_per_minute=1)
    now = clock.now()
    take(organization, ("key", "k"), now=now - timedelta(seconds=59.7))
    gate = RunGate(execution, version, left=lambda: seconds)

    assert (enter(gate) is None) is waits


def test_a_call_that_a_breaker_or_a_cancel_keeps_back_counts_no_more(
    organization: Organization,
) -> None:
    execution, version = make_run(organization, key="k")
    rule = make_limit(organization, name="k", requests_per_minute=1)
    breaker = make_breaker(organization)
    switch(organization, switches.force, name=breaker.name, state=Forced.OPEN)

    failure = enter(RunGate(execution, version))

    assert failure is not None
    assert failure.kind is FailureKind.BREAKER_OPEN
    (shown,) = standings.show(rules=[rule], now=clock.now())
    assert shown.requests == 0


def test_a_run_cancelled_while_it_waits_for_its_turn_gives_it_back(
    organization: Organization,
) -> None:
    execution, version = make_run(organization, key="k")
    rule = make_limit(organization, name="k", requests_per_minute=1)
    take(organization, ("key", "k"), now=clock.now() - timedelta(seconds=56))
    gate = RunGate(execution, version)

    async def cancelled() -> None:
        task = asyncio.create_task(gate.enter(CALL, 1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.3)
        await gate.close()

    loop.get().submit(cancelled()).result(20)

    (shown,) = standings.show(rules=[rule], now=clock.now())
    assert shown.requests == 1


def test_a_call_of_a_run_that_was_closed_holds_nothing_and_does_not_go_out(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed between the look at the run and the reservation: who closed it saw nothing held."""
    execution, version = make_run(organization, daily_budget_usd=Decimal(9))
    gate = RunGate(execution, version)
    permit = calls.permit

    def close_meanwhile(**asked: Any) -> Any:
        ending = executions.Ending(status=ExecutionStatus.CANCELLED)
        with transaction.atomic():
            executions.close_execution(execution_id=execution.pk, ending=ending, now=clock.now())
        return permit(**asked)

    monkeypatch.setattr(calls, "permit", close_meanwhile)

    async def run() -> None:
        with pytest.raises(RunWithoutLease):
            await gate.enter(CALL, 1)
        await gate.close()

    loop.get().submit(run()).result(20)

    assert (Reservation.objects.count(), UsageRecord.objects.count()) == (0, 0)
    assert BudgetWindow.objects.get().reserved_usd == 0


def told_with(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, report: Callable[..., None]
) -> RunGate:
    """A gate whose breaker is told by `report`."""
    make_breaker(organization)
    monkeypatch.setattr(calls, "report", report)
    return RunGate(*make_run(organization))


def test_an_answer_counts_though_the_breaker_cannot_be_told(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise OSError

    gate = told_with(organization, monkeypatch, fail)

    assert enter(gate) is None


def test_a_run_cancelled_while_its_breaker_is_told_is_cancelled_and_tells_it(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, go = threading.Event(), threading.Event()
    told: list[Outcome] = []

    def slowly(**report: Any) -> None:
        telling.set()
        assert go.wait(10)
        told.append(report["outcome"])

    gate = told_with(organization, monkeypatch, slowly)

    async def run() -> None:
        await gate.enter(CALL, 1)
        gate.answered(30)
        try:
            await gate.enter(CALL, 2)
        finally:
            await gate.close()

    async def cancelled() -> None:
        task = asyncio.ensure_future(run())
        await asyncio.to_thread(telling.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.get().submit(cancelled()).result(20)

    assert told == [Outcome.SUCCESS]
