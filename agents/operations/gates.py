"""What a model call has to pass before it goes out: override, limits, breaker, budgets."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from agents.errors import AgentDisabled, RunWithoutLease
from agents.models import AgentExecution, AgentVersion
from agents.operations import effective, executions
from agents.runtime import failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall
from agents.runtime.providers import DEMO
from agents.runtime.spec import FailureKind, RunFailure
from breakers.choices import Outcome, breaker_of
from breakers.errors import BreakerOpen
from breakers.operations import calls
from breakers.operations.calls import Permit
from cost.errors import BudgetExhausted, CallUnpriced
from cost.operations import reservations, unanswered
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
# Whoever raises a budget or sets a price wakes the run, but not one that is being put off in that
# moment: it looks again by itself.
LOOK_AGAIN_SECONDS: Final = 3600.0


class TokenMeter:
    """Tokens of a run and of all runs below it, against the limits of its version and of those that
    called it. They are counted as they come, so that calls made at once share what is left."""

    def __init__(self, agent_name: str, caller: "TokenMeter | None" = None) -> None:
        self._agent_name = agent_name
        self._caller = caller
        self._used = 0
        self._limit: int | None = None
        self._is_overridden = False

    def begin(self, *, limit: int | None, used: int, is_overridden: bool = False) -> None:
        """Go by `limit`, None being none; `used` is what was before and the caller has counted."""
        self._limit, self._used = limit, self._used + used
        self._is_overridden = is_overridden

    def add(self, tokens: int) -> None:
        """Count a turn, here and for whoever called."""
        self._used += tokens
        if self._caller is not None:
            self._caller.add(tokens)

    def check(self) -> None:
        """Raises RunStopped once a limit is passed."""
        if self._limit is not None and self._used > self._limit:
            raise RunStopped(
                failures.too_many_tokens_below(
                    self._agent_name,
                    self._limit,
                    self._used,
                    is_overridden=self._is_overridden,
                )
            )
        if self._caller is not None:
            self._caller.check()


class _Held(Enum):
    """What becomes of a call's reservation: somebody books the call or the end of its run, it cost
    nothing, or nobody knows what it cost."""

    BOOKED = auto()
    GIVEN_BACK = auto()
    SPENT = auto()


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
        left: Callable[[], float] | None = None,
    ) -> None:
        self._meter = meter or TokenMeter(execution.agent_name)
        self._execution = execution
        self._version = version
        self._left = left
        self._asked: asyncio.Future[_Passed | None] | None = None
        self._passed: _Passed | None = None
        self._telling: asyncio.Future[None] | None = None
        self._is_first = True

    async def enter(self, call: ModelCall, ordinal: int) -> None:
        """Before a call that will be booked under `ordinal`.

        Raises RunStopped while the agent is disabled, a limit of the minute used up (unless it
        has room in a moment: then this waits), its provider's breaker open or a budget without
        room for the call, and when too many tokens were used; one that passes has the worst case
        of its cost reserved.
        """
        await self._told()
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
            raise RunStopped(
                failures.agent_disabled(disabled.detail, override_id=disabled.override_id)
            ) from None
        except BreakerOpen as refusal:
            seconds = float(refusal.data["retry_after_seconds"])
            raise RunStopped(failures.breaker_open(refusal.detail, seconds=seconds)) from None
        except BudgetExhausted as refusal:
            raise RunStopped(_exhausted(refusal)) from None

    async def failed(self, failure: RunFailure) -> None:
        """After a call that brought no answer; unless it is known to have cost nothing, the most
        that it can have cost is spent."""
        kind = failure.kind
        silent = Outcome.UNKNOWN if kind in SAYS_NOTHING else Outcome.SUCCESS
        outcome = Outcome.FAILURE if kind in FAULTS else silent
        held = _Held.GIVEN_BACK if failure.is_unbilled else _Held.SPENT
        await self._leave(outcome, held, tokens=0)

    def answered(self, tokens: int) -> None:
        """After a call that brought an answer; booking it settles what was reserved.

        The breaker and the limits are told while the run goes on; its next call and its end wait
        for that. Should it fail, the run has its answer all the same.
        """
        self._meter.add(tokens)
        self._telling = loop.get().start(self._leave(Outcome.SUCCESS, _Held.BOOKED, tokens=tokens))

    async def close(self) -> None:
        """When the run ends: a call that was given up holds no place of a trial. If it went out,
        what it reserved is booked with the end of the execution: it may have to be paid for."""
        await self._told()
        held = _Held.BOOKED
        if self._passed is None and self._asked is not None:
            held = _Held.GIVEN_BACK
            with suppress(Exception):  # it was raised where it was asked for
                self._passed = await asyncio.shield(self._asked)
        if self._passed is not None:
            await asyncio.shield(self._leave(Outcome.UNKNOWN, held))

    async def _told(self) -> None:
        if self._telling is not None:
            await asyncio.wait([self._telling])

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
        patience = min(PATIENCE_SECONDS, self._left()) if self._left else PATIENCE_SECONDS
        return turns.take(
            organization_id=run.organization_id,
            buckets=[
                (LimitScope.AGENT, str(run.agent_id)),
                (LimitScope.PROVIDER, call.provider),
                (LimitScope.KEY, run.concurrency_key),
            ],
            labels={(LimitScope.AGENT, str(run.agent_id)): run.agent_name},
            tokens=call.input_tokens + call.output_tokens,
            patience_seconds=patience,
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
        is_held = reservations.reserve(
            organization_id=self._execution.organization_id,
            agent_id=self._execution.agent_id,
            task_id=self._execution.task_id,
            user_id=self._execution.user_id,
            execution_id=self._execution.pk,
            ordinal=ordinal,
            provider=call.provider,
            model=call.model,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            now=now,
        )
        if is_held:
            self._check_open(ordinal)

    def _check_open(self, ordinal: int) -> None:
        """Raises RunWithoutLease if the run was closed before anything was held for it: whoever
        closed it saw nothing to settle. Who closes it from here on does."""
        try:
            with transaction.atomic():
                executions.lock_running(self._execution)
        except RunWithoutLease:
            reservations.release(
                organization_id=self._execution.organization_id,
                execution_id=self._execution.pk,
                ordinal=ordinal,
            )
            raise

    async def _leave(self, outcome: Outcome, held: _Held, *, tokens: int | None = None) -> None:
        passed, self._passed, self._asked = self._passed, None, None
        if passed is not None:
            report = partial(self._report, passed, outcome, held, clock.now())
            await loop.get().in_database(report, tokens=tokens)

    def _report(
        self,
        passed: _Passed,
        outcome: Outcome,
        held: _Held,
        now: datetime,
        *,
        tokens: int | None,
    ) -> None:
        if passed.permit is None:
            turns.give_back(turn=passed.turn, now=now)
            return
        calls.report(permit=passed.permit, outcome=outcome, now=now)
        if tokens is not None:
            turns.settle(turn=passed.turn, tokens=tokens, now=now)
        run_id, ordinal = self._execution.pk, passed.ordinal
        if held is _Held.GIVEN_BACK:
            reservations.release(
                organization_id=self._execution.organization_id,
                execution_id=run_id,
                ordinal=ordinal,
            )
        elif held is _Held.SPENT:
            unanswered.book_given_up(execution_id=run_id, ordinal=ordinal, now=now)


def _rate_reached(refusal: RateReached) -> RunFailure:
    data: dict[str, Any] = dict(refusal.data)
    return failures.rate_limit(
        refusal.detail,
        seconds=float(data["retry_after_seconds"]),
        rule_id=UUID(str(data["rule_id"])),
    )


def _exhausted(refusal: BudgetExhausted) -> RunFailure:
    if isinstance(refusal, CallUnpriced):
        return failures.cost_unpriced(refusal.detail, seconds=LOOK_AGAIN_SECONDS)
    data: dict[str, Any] = dict(refusal.data)
    resets_at = data.get("resets_at")
    seconds = LOOK_AGAIN_SECONDS
    if data.get("is_fleeting"):
        seconds = FLEETING_SECONDS
    elif resets_at:
        left = (datetime.fromisoformat(resets_at) - clock.now()).total_seconds()
        seconds = min(seconds, left)
    budget_id = data.get("budget_id")
    return failures.budget_exhausted(
        refusal.detail,
        seconds=max(FLEETING_SECONDS, seconds),
        budget_id=UUID(str(budget_id)) if budget_id else None,
    )
