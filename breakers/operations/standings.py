"""How breakers stand: the rows, and what Redis has counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from breakers.choices import BreakerState, Forced
from breakers.clients import states
from breakers.clients.states import NoRedis, Standing
from breakers.models import CircuitBreaker


@dataclass(frozen=True, slots=True)
class Shown:
    """A breaker and how it stands; `is_counting` is false while Redis does not answer."""

    breaker: CircuitBreaker
    standing: Standing
    is_counting: bool

    @property
    def state(self) -> BreakerState:
        """What decides about calls: what a person said before what was counted."""
        return _as_forced(self.breaker) or self.standing.state

    @property
    def is_forced(self) -> bool:
        """Whether a person decided on the state."""
        return self.breaker.forced != Forced.NOT

    @property
    def success_rate(self) -> float | None:
        """Share of calls that succeeded since the last reset; None before the first."""
        standing = self.standing
        total = standing.total_successes + standing.total_failures
        return round(standing.total_successes / total, 4) if total else None


def show(*, breakers: Sequence[CircuitBreaker], now: datetime) -> list[Shown]:
    """How breakers of one organization stand; closed, as far as not forced, without Redis."""
    if not breakers:
        return []
    try:
        standings = states.show(
            organization_id=breakers[0].organization_id,
            names=[breaker.name for breaker in breakers],
            now=now,
        )
    except NoRedis:
        return [Shown(breaker, Standing(), is_counting=False) for breaker in breakers]
    pairs = zip(breakers, standings, strict=True)
    return [Shown(breaker, standing, is_counting=True) for breaker, standing in pairs]


def _as_forced(breaker: CircuitBreaker) -> BreakerState | None:
    return BreakerState(breaker.forced) if breaker.forced != Forced.NOT else None
