"""What a model call has to pass before it goes out: override, limits, breaker, budgets."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
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
from limits.choices import PATIENCE_SECONDS, LimitScope
from limits.errors import RateReached
from limits.operations import turns
from limits.operations.turns import Turn

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
    """What a call holds while it is under way: its reservation's ordinal, its breaker's permit, and
    its turn. Without a permit it is not under way yet: its turn comes in a moment."""

    ordinal: int
    turn: Turn
    permit: Permit | None = None


class RunGate:
    """What the model calls of one run pass; they come one by one."""

    def __init__(
        self,
        execution: AgentExecution,
        version: AgentVersion,
        meter: TokenMeter | None = None,
        *,
        ends_at: datetime | None = None,
    ) -> None:
        self._meter = meter or TokenMeter(execution.agent_name)
        self._execution = execution
        self._version = version
        self._ends_at = ends_at
        self._asked: asyncio.Future[_Passed | None] | None = None
        self._passed: _Passed | None = None
        self._is_first = True

    async def enter(self, call: ModelCall, ordinal: int) -> None:
        """Before a call that will be booked under `ordinal`.

        Raises RunStopped while the agent is disabled, a limit of the minute used up (unless it
        has room in a moment: then this waits), its provider's breaker open or a budget without
        room for the call, and when too many tokens were used; one that passes has the worst case
        of its cost reserved.
        """
        self._meter.check()
        is_first, self._is_first = self._is_first, False
        if call.provider == DEMO and is_first:
            return  # nothing goes out, and whether it is enabled was asked a moment ago
        try:
            await self._ask(partial(self._pass, call, ordinal, clock.now(), look=not is_first))
            if self._passed is not None and self._passed.permit is None:
                await asyncio.sleep(self._passed.turn.wait_seconds)
                await self._ask(partial(self._go, call, self._passed, clock.now()))
        except RateReached as refusal:
            raise RunStopped(_rate_reached(refusal)) from None
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
        outcome = Outcome.FAILURE if kind in FAULTS else silent
        await self._leave(outcome, is_booked=False, tokens=0)

    async def answered(self, tokens: int) -> None:
        """After a call that brought an answer; booking it settles what was reserved."""
        self._meter.add(tokens)
        await self._leave(Outcome.SUCCESS, is_booked=True, tokens=tokens)

    async def close(self) -> None:
        """When the run ends: a call that was given up holds no place of a trial. What it reserved
        goes with the end of the execution: it may have been paid for."""
        if self._passed is None and self._asked is not None:
            with suppress(Exception):  # it was raised where it was asked for
                self._passed = await asyncio.shield(self._asked)
        if self._passed is not None:
            await asyncio.shield(self._leave(Outcome.UNKNOWN, is_booked=True))

    async def _ask(self, question: Callable[[], _Passed | None]) -> None:
        self._passed = None
        self._asked = asyncio.ensure_future(loop.get().in_database(question))
        # A run that is cancelled meanwhile still passes: `close` gives back what it got.
        self._passed = await asyncio.shield(self._asked)

    def _pass(self, call: ModelCall, ordinal: int, now: datetime, *, look: bool) -> _Passed | None:
        if look:
            effective.configuration_of(version=self._version, agent_name=self._execution.agent_name)
        if call.provider == DEMO:
            return None
        turn = self._take_turn(call, now)
        passed = _Passed(ordinal, turn)
        return passed if turn.wait_seconds else self._go(call, passed, now)

    def _take_turn(self, call: ModelCall, now: datetime) -> Turn:
        run = self._execution
        left = PATIENCE_SECONDS
        if self._ends_at is not None:
            left = max(0.0, min(left, (self._ends_at - now).total_seconds()))
        return turns.take(
            organization_id=run.organization_id,
            buckets=[
                (LimitScope.AGENT, str(run.agent_id)),
                (LimitScope.PROVIDER, call.provider),
                (LimitScope.KEY, run.concurrency_key),
            ],
            tokens=call.input_tokens + call.output_tokens,
            patience_seconds=left,
            now=now,
        )

    def _go(self, call: ModelCall, passed: _Passed, now: datetime) -> _Passed:
        """What its turn has come for; a call that may not go out gives it back."""
        try:
            permit = calls.permit(
                organization_id=self._execution.organization_id,
                name=breaker_of(call.provider),
                now=now,
            )
            try:
                self._reserve(call, passed.ordinal, now)
            except BaseException:
                calls.report(permit=permit, outcome=Outcome.UNKNOWN, now=now)
                raise
        except BaseException:
            turns.give_back(turn=passed.turn, now=now)
            raise
        return replace(passed, permit=permit)

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

    async def _leave(self, outcome: Outcome, *, is_booked: bool, tokens: int | None = None) -> None:
        passed, self._passed, self._asked = self._passed, None, None
        if passed is not None:
            report = partial(self._report, passed, outcome, clock.now())
            await loop.get().in_database(report, is_booked=is_booked, tokens=tokens)

    def _report(
        self,
        passed: _Passed,
        outcome: Outcome,
        now: datetime,
        *,
        is_booked: bool,
        tokens: int | None,
    ) -> None:
        if passed.permit is None:
            turns.give_back(turn=passed.turn, now=now)
            return
        calls.report(permit=passed.permit, outcome=outcome, now=now)
        if tokens is not None:
            turns.settle(turn=passed.turn, tokens=tokens, now=now)
        if not is_booked:
            reservations.release(execution_id=self._execution.pk, ordinal=passed.ordinal)


def _rate_reached(refusal: RateReached) -> RunFailure:
    data: dict[str, Any] = dict(refusal.data)
    return failures.rate_limit(
        refusal.detail,
        seconds=float(data["retry_after_seconds"]),
        rule_id=UUID(str(data["rule_id"])),
    )


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
