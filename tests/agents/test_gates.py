"""The gate before model calls: what it takes it gives back."""

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from agents.models import AgentExecution, AgentVersion
from agents.operations.gates import RunGate
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall
from agents.runtime.spec import FailureKind, RunFailure
from breakers.choices import Outcome
from breakers.operations import calls
from cost.models import Reservation
from kernel import loop
from tests.agents.factories import make_agent
from tests.breakers.factories import NAME, make_breaker
from tests.tasks.factories import claim_one, make_task

pytestmark = pytest.mark.django_db(transaction=True)
CALL = ModelCall(
    ordinal=1,
    provider=NAME.removeprefix("provider:"),
    model="gpt-4o",
    input_tokens=1000,
    output_tokens=1000,
)


def make_run(organization: Organization, **values: Any) -> tuple[AgentExecution, AgentVersion]:
    """A run that has just begun, and its version."""
    claim = claim_one(make_task(organization, agent=make_agent(organization, **values)))
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
    gate = RunGate(*make_run(organization))

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
