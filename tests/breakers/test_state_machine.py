"""Whatever calls come and end in whatever order: Redis and a plain model of the rules agree."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
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

from breakers.choices import Outcome
from breakers.clients import states
from breakers.models import CircuitBreaker
from kernel import clock

NAME = "provider:any"
LIMITS = {
    "failure_threshold": 3,
    "window_seconds": 20,
    "recovery_timeout_seconds": 10,
    "success_threshold": 2,
    "trial_timeout_seconds": 15,
}


@dataclass
class Rules:
    """What the breaker has to do, written down a second time and without Redis."""

    state: str = "closed"
    since: float = 0
    generation: int = 0
    failures: list[float] = field(default_factory=list)
    trials: dict[str, float] = field(default_factory=dict)
    successes: int = 0

    def move(self, state: str, at: float) -> None:
        self.state, self.since, self.successes = state, at, 0
        self.generation += 1
        self.failures, self.trials = [], {}

    def settle(self, now: float) -> None:
        if self.state == "half_open" and any(end <= now for end in self.trials.values()):
            self.move("open", min(self.trials.values()))
        if self.state == "open" and now >= self.since + LIMITS["recovery_timeout_seconds"]:
            self.move("half_open", now)

    def ask(self, permit: str, now: float) -> bool:
        self.settle(now)
        if self.state == "half_open":
            if len(self.trials) + self.successes >= LIMITS["success_threshold"]:
                return False
            self.trials[permit] = now + LIMITS["trial_timeout_seconds"]
        return self.state != "open"

    def tell(self, permit: str, generation: int, outcome: Outcome, now: float) -> None:
        self.settle(now)
        is_trial = self.trials.pop(permit, None) is not None
        if outcome == Outcome.UNKNOWN or generation != self.generation:
            return
        if self.state == "closed" and outcome == Outcome.FAILURE:
            self.failures.append(now)
            recent = [at for at in self.failures if at > now - LIMITS["window_seconds"]]
            if len(recent) >= LIMITS["failure_threshold"]:
                self.move("open", now)
        elif self.state == "half_open" and is_trial:
            self.successes += outcome == Outcome.SUCCESS
            if outcome == Outcome.FAILURE:
                self.move("open", now)
            elif self.successes >= LIMITS["success_threshold"]:
                self.move("closed", now)


class Calls(RuleBasedStateMachine):
    """One breaker, calls that begin and end, and time that passes."""

    under_way: Bundle[Any] = Bundle("under_way")

    @initialize()
    def begin(self) -> None:
        self.begun_at, self.seconds, self.number = clock.now(), 0, 0
        self.organization_id = uuid4()
        self.plain = Rules()
        self.learn()

    @property
    def now(self) -> datetime:
        return self.begun_at + timedelta(seconds=self.seconds)

    def learn(self) -> None:
        breaker = CircuitBreaker(organization_id=self.organization_id, name=NAME, **LIMITS)
        states.learn(breaker=breaker, now=self.now)

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds: int) -> None:
        self.seconds += seconds
        self.learn()

    @rule(target=under_way)
    def ask(self) -> Any:
        permit = f"permit-{self.number}"
        self.number += 1
        answer = states.ask(
            organization_id=self.organization_id, name=NAME, permit=permit, now=self.now
        )
        assert answer is not None
        assert answer.is_permitted == self.plain.ask(permit, self.seconds)
        if not answer.is_permitted:
            assert answer.wait_seconds is not None
            assert answer.wait_seconds > 0
        return (permit, self.plain.generation) if answer.is_permitted else None

    @rule(call=consumes(under_way), outcome=st.sampled_from(Outcome))
    def tell(self, call: tuple[str, int] | None, outcome: Outcome) -> None:
        if call is None:
            return
        permit, generation = call
        states.tell(
            organization_id=self.organization_id,
            name=NAME,
            permit=permit,
            generation=generation,
            outcome=outcome,
            now=self.now,
        )
        self.plain.tell(permit, generation, outcome, self.seconds)

    @invariant()
    def they_agree(self) -> None:
        (shown,) = states.show(organization_id=self.organization_id, names=[NAME], now=self.now)
        self.plain.settle(self.seconds)
        since = [at for at in self.plain.failures if at > self.seconds - LIMITS["window_seconds"]]
        assert (shown.state, shown.failure_count, shown.trials) == (
            self.plain.state,
            len(since),
            len(self.plain.trials),
        )


@pytest.mark.django_db
def test_redis_and_the_rules_agree() -> None:
    run_state_machine_as_test(
        Calls,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
