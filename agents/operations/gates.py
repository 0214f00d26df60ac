"""What a model call has to pass before it goes out: override, breaker, budgets."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from agents.errors import AgentDisabled
from agents.models import AgentExecution, AgentVersion
from agents.operations import effective
from agents.runtime import failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall
from agents.runtime.providers import DEMO
from agents.runtime.spec import FailureKind, RunFailure
from breakers.choices import Outcome, breaker_of
from breakers.errors import BreakerOpen
from breakers.operations import calls
from breakers.operations.calls import Permit
from cost.errors import BudgetExhausted
from cost.operations import reservations
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
# What only other calls under way stand in the way of is free in a moment.
FLEETING_SECONDS: Final = 2.0
# A budget that never begins anew may still be raised, and whoever raises it wakes the run.
LOOK_AGAIN_SECONDS: Final = 3600.0


class TokenMeter:
    """Tokens of a run and of all runs below it, against the limits of its version and of those that
    called it. They are counted as they come, so that calls made at once share what is left."""

    def __init__(self, agent_name: str, caller: "TokenMeter | None" = None) -> None:
        self._agent_name = agent_name
        self._caller = caller
        self._used = 0
        self._limit: int | None = None

    def begin(self, *, limit: int | None, used: int) -> None:
        """Go by `limit`, None being none; `used` is what was before and the caller has counted."""
        self._limit, self._used = limit, self._used + used

    def add(self, tokens: int) -> None:
        """Count a turn, here and for whoever called."""
        self._used += tokens
        if self._caller is not None:
            self._caller.add(tokens)

    def check(self) -> None:
        """Raises RunStopped once a limit is passed."""
        if self._limit is not None and self._used > self._limit:
            raise RunStopped(
                failures.too_many_tokens_below(self._agent_name, self._limit, self._used)
            )
        if self._caller is not None:
            self._caller.check()


@dataclass(frozen=True, slots=True)
class _Passed:
    """What a call holds while it is under way: its reservation's ordinal, its breaker's permit."""

    ordinal: int
    permit: Permit


class RunGate:
    """What the model calls of one run pass; they come one by one."""

    def __init__(
        self, execution: AgentExecution, version: AgentVersion, meter: TokenMeter | None = None
    ) -> None:
        self._meter = meter or TokenMeter(execution.agent_name)
        self._execution = execution
        self._version = version
        self._asked: asyncio.Future[_Passed | None] | None = None
        self._passed: _Passed | None = None
        self._is_first = True

    async def enter(self, call: ModelCall, ordinal: int) -> None:
        """Before a call that will be booked under `ordinal`.

        Raises RunStopped while the agent is disabled, its provider's breaker open or a budget
        without room for the call, and when too many tokens were used; one that passes has the worst
        case of its cost reserved.
        """
        self._meter.check()
        is_first, self._is_first = self._is_first, False
        if call.provider == DEMO and is_first:
            return  # nothing goes out, and whether it is enabled was asked a moment ago
        asked = loop.get().in_database(self._pass, call, ordinal, clock.now(), look=not is_first)
        self._asked = asyncio.ensure_future(asked)
        try:
            # A run that is cancelled meanwhile still passes: `close` gives back what it got.
            self._passed = await asyncio.shield(self._asked)
        except AgentDisabled as disabled:
            raise RunStopped(failures.agent_disabled(disabled.detail)) from None
        except BreakerOpen as refusal:
            seconds = float(refusal.data["retry_after_seconds"])
            raise RunStopped(failures.breaker_open(refusal.detail, seconds=seconds)) from None
        except BudgetExhausted as refusal:
            raise RunStopped(_exhausted(refusal)) from None

    async def failed(self, kind: FailureKind) -> None:
        """After a call that brought no answer: nothing of it is booked."""
        silent = Outcome.UNKNOWN if kind in SAYS_NOTHING else Outcome.SUCCESS
        await self._leave(Outcome.FAILURE if kind in FAULTS else silent, is_booked=False)

    async def answered(self, tokens: int) -> None:
        """After a call that brought an answer; booking it settles what was reserved."""
        self._meter.add(tokens)
        await self._leave(Outcome.SUCCESS, is_booked=True)

    async def close(self) -> None:
        """When the run ends: a call that was given up holds no place of a trial. What it reserved
        goes with the end of the execution: it may have been paid for."""
        if self._passed is None and self._asked is not None:
            with suppress(Exception):  # it was raised where it was asked for
                self._passed = await asyncio.shield(self._asked)
        if self._passed is not None:
            await asyncio.shield(self._leave(Outcome.UNKNOWN, is_booked=True))

    def _pass(self, call: ModelCall, ordinal: int, now: datetime, *, look: bool) -> _Passed | None:
        if look:
            effective.configuration_of(version=self._version, agent_name=self._execution.agent_name)
        if call.provider == DEMO:
            return None
        permit = calls.permit(
            organization_id=self._execution.organization_id,
            name=breaker_of(call.provider),
            now=now,
        )
        try:
            self._reserve(call, ordinal, now)
        except BaseException:
            calls.report(permit=permit, outcome=Outcome.UNKNOWN, now=now)
            raise
        return _Passed(ordinal, permit)

    def _reserve(self, call: ModelCall, ordinal: int, now: datetime) -> None:
        reservations.reserve(
            organization_id=self._execution.organization_id,
            agent_id=self._execution.agent_id,
            task_id=self._execution.task_id,
            execution_id=self._execution.pk,
            ordinal=ordinal,
            provider=call.provider,
            model=call.model,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            daily_limit_usd=Decimal(self._version.daily_budget_usd),
            now=now,
        )

    async def _leave(self, outcome: Outcome, *, is_booked: bool) -> None:
        passed, self._passed, self._asked = self._passed, None, None
        if passed is not None:
            await loop.get().in_database(self._report, passed, outcome, is_booked=is_booked)

    def _report(self, passed: _Passed, outcome: Outcome, *, is_booked: bool) -> None:
        calls.report(permit=passed.permit, outcome=outcome, now=clock.now())
        if not is_booked:
            reservations.release(execution_id=self._execution.pk, ordinal=passed.ordinal)


def _exhausted(refusal: BudgetExhausted) -> RunFailure:
    data: dict[str, Any] = dict(refusal.data)
    resets_at = data.get("resets_at")
    seconds = LOOK_AGAIN_SECONDS
    if data.get("is_fleeting"):
        seconds = FLEETING_SECONDS
    elif resets_at:
        seconds = (datetime.fromisoformat(resets_at) - clock.now()).total_seconds()
    budget_id = data.get("budget_id")
    return failures.budget_exhausted(
        refusal.detail,
        seconds=max(FLEETING_SECONDS, seconds),
        budget_id=UUID(str(budget_id)) if budget_id else None,
    )
