"""The breakers' states in Redis, shared by every process of the hub.

Each call is one round trip and one step: what two processes say at once is counted twice and moves
the state once. `states.lua` holds the rules; times are milliseconds of the hub's clock.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog
from redis.exceptions import NoScriptError, RedisError

from breakers.choices import BreakerState, Outcome
from breakers.models import CircuitBreaker
from kernel import redis_client

log = structlog.get_logger(__name__)
SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text()
_DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
# A call that nobody counts is better than a late one.
TIMEOUT_SECONDS: Final = 0.3
SILENCE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a call may go out. `generation` numbers the state that it was permitted in.

    `wait_seconds` until another try makes sense; None while somebody holds the breaker open.
    """

    is_permitted: bool
    state: BreakerState
    generation: int = -1
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a breaker stands; `failure_count` within its window, the totals since its last reset."""

    state: BreakerState = BreakerState.CLOSED
    failure_count: int = 0
    total_successes: int = 0
    total_failures: int = 0
    last_failure: datetime | None = None
    since: datetime | None = None
    trials: int = 0


@dataclass(slots=True)
class _Silence:
    """Until when (monotonic seconds) this process does not ask Redis."""

    until: float = 0.0


_silence = _Silence()


class NoRedis(Exception):
    """Redis does not answer: nothing is counted, and what it knew is not known."""


def learn(*, breaker: CircuitBreaker, now: datetime) -> None:
    """Tell Redis a breaker's limits and its last reset; a later revision stays. Raises NoRedis."""
    _run(
        breaker.organization_id,
        breaker.name,
        "learn",
        now,
        breaker.revision,
        breaker.failure_threshold,
        breaker.window_seconds * 1000,
        breaker.recovery_timeout_seconds * 1000,
        breaker.success_threshold,
        breaker.trial_timeout_seconds * 1000,
        breaker.forced,
        breaker.reset_revision,
    )


def ask(*, organization_id: UUID, name: str, permit: str, now: datetime) -> Answer | None:
    """Whether a call may go out; None if Redis has to `learn` the limits first. Raises NoRedis."""
    found = _run(organization_id, name, "ask", now, permit)
    verdict = found[0].decode()
    if verdict == "unknown":
        return None
    state, number = BreakerState(found[1].decode()), int(found[2])
    if verdict == "permitted":
        return Answer(is_permitted=True, state=state, generation=number)
    wait = None if number < 0 else number / 1000
    return Answer(is_permitted=False, state=state, wait_seconds=wait)


def tell(
    *,
    organization_id: UUID,
    name: str,
    permit: str,
    generation: int,
    outcome: Outcome,
    now: datetime,
) -> tuple[BreakerState, BreakerState]:
    """Count how a call ended: the states before and after. Raises NoRedis."""
    found = _run(organization_id, name, "tell", now, permit, generation, outcome)
    return BreakerState(found[0].decode()), BreakerState(found[1].decode())


def show(*, organization_id: UUID, names: Sequence[str], now: datetime) -> list[Standing]:
    """How each of the breakers stands, in one round trip. Raises NoRedis."""
    if time.monotonic() < _silence.until:
        raise NoRedis
    redis = redis_client.client(timeout_seconds=TIMEOUT_SECONDS)
    try:
        pipe = redis.pipeline(transaction=False)
        for name in names:
            keys = _keys(organization_id, name)
            pipe.eval(SCRIPT, len(keys), *keys, "show", _milliseconds(now))
        return [_standing(found) for found in pipe.execute()]
    except RedisError as error:
        raise _silent(error) from None


def forget(*, organization_id: UUID, names: Sequence[str]) -> None:
    """Drop what is known of breakers. Raises NoRedis."""
    if time.monotonic() < _silence.until:
        raise NoRedis
    keys = [key for name in names for key in _keys(organization_id, name)]
    try:
        if keys:
            redis_client.client(timeout_seconds=TIMEOUT_SECONDS).delete(*keys)
    except RedisError as error:
        raise _silent(error) from None


def _run(organization_id: UUID, name: str, command: str, now: datetime, *values: Any) -> Any:
    if time.monotonic() < _silence.until:
        raise NoRedis
    keys = _keys(organization_id, name)
    arguments = (len(keys), *keys, command, _milliseconds(now), *values)
    redis: Any = redis_client.client(timeout_seconds=TIMEOUT_SECONDS)
    try:
        try:
            return redis.evalsha(_DIGEST, *arguments)
        except NoScriptError:  # a server that was restarted
            return redis.eval(SCRIPT, *arguments)
    except RedisError as error:
        raise _silent(error) from None


def _silent(error: RedisError) -> NoRedis:
    log.warning("breakers.not_counted", error=type(error).__name__)
    _silence.until = time.monotonic() + SILENCE_SECONDS
    return NoRedis()


def _standing(found: Any) -> Standing:
    return Standing(
        BreakerState(found[0].decode()),
        int(found[1]),
        int(found[2]),
        int(found[3]),
        _instant(found[4]),
        _instant(found[5]),
        int(found[6]),
    )


def _keys(organization_id: UUID, name: str) -> tuple[str, str, str]:
    key = f"hub:breaker:{organization_id}:{name}"
    return key, f"{key}:failures", f"{key}:trials"


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)


def _instant(milliseconds: Any) -> datetime | None:
    seconds = int(milliseconds) / 1000
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
