"""What a model call has to pass before it goes out: the breaker of its provider."""

import asyncio
from contextlib import suppress
from typing import Final
from uuid import UUID

from agents.runtime import failures
from agents.runtime.failures import RunStopped
from agents.runtime.providers import DEMO
from agents.runtime.spec import FailureKind
from breakers.choices import Outcome, breaker_of
from breakers.errors import BreakerOpen
from breakers.operations import calls
from breakers.operations.calls import Permit
from kernel import clock, loop

# Faults of the provider. A key or a request that it refuses shows that it works; a rate limit, or a
# run whose own time was over, says nothing (contract 003 B15).
FAULTS: Final = frozenset(
    {
        FailureKind.PROVIDER_UNAVAILABLE,
        FailureKind.PROVIDER_TIMEOUT,
        FailureKind.PROVIDER_BAD_RESPONSE,
    }
)
SAYS_NOTHING: Final = frozenset(
    {FailureKind.PROVIDER_RATE_LIMITED, FailureKind.TIMEOUT, FailureKind.INTERNAL}
)


class ProviderGate:
    """The breaker `provider:<name>` before the model calls of one run, which come one by one."""

    def __init__(self, organization_id: UUID, provider: str) -> None:
        self._organization_id = organization_id
        self._provider = provider
        self._asked: asyncio.Future[Permit] | None = None
        self._permit: Permit | None = None

    async def enter(self) -> None:
        """Before a call. Raises RunStopped while the breaker is open."""
        if self._provider == DEMO:
            return  # nothing goes out
        asked = loop.get().in_database(
            calls.permit,
            organization_id=self._organization_id,
            name=breaker_of(self._provider),
            now=clock.now(),
        )
        self._asked = asyncio.ensure_future(asked)
        try:
            # A run that is cancelled meanwhile still gets its permit: `close` gives it back.
            self._permit = await asyncio.shield(self._asked)
        except BreakerOpen as refusal:
            seconds = float(refusal.data["retry_after_seconds"])
            raise RunStopped(failures.breaker_open(refusal.detail, seconds=seconds)) from None

    async def failed(self, kind: FailureKind) -> None:
        """After a call that brought no answer."""
        silent = Outcome.UNKNOWN if kind in SAYS_NOTHING else Outcome.SUCCESS
        await self._leave(Outcome.FAILURE if kind in FAULTS else silent)

    async def answered(self) -> None:
        """After a call that brought an answer."""
        await self._leave(Outcome.SUCCESS)

    async def close(self) -> None:
        """When the run ends: a call that was given up holds no place of a trial."""
        if self._permit is None and self._asked is not None:
            with suppress(Exception):  # it was raised where it was asked for
                self._permit = await asyncio.shield(self._asked)
        if self._permit is not None:
            await asyncio.shield(self._leave(Outcome.UNKNOWN))

    async def _leave(self, outcome: Outcome) -> None:
        permit, self._permit, self._asked = self._permit, None, None
        if permit is not None:
            await loop.get().in_database(
                calls.report, permit=permit, outcome=outcome, now=clock.now()
            )
