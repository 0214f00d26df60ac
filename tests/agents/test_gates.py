"""The gate before model calls: what it takes it gives back."""

import asyncio
import threading
from typing import Any

import pytest

from accounts.models import Organization
from agents.operations.gates import ProviderGate
from breakers.choices import Outcome
from breakers.operations import calls
from kernel import loop
from tests.breakers.factories import NAME, make_breaker

pytestmark = pytest.mark.django_db(transaction=True)


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
    gate = ProviderGate(organization.pk, NAME.removeprefix("provider:"))

    async def run() -> None:
        try:
            await gate.enter()
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
