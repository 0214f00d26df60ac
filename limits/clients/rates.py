"""The model calls of the last minute in Redis, shared by every process of the hub.

A call is booked in all its buckets in one step, at the time when it is its turn: now, or in a
moment when the oldest have left the minute. So no 60 seconds ever hold more than the limit, and
those that wait do not race for it. `rates.lua` holds the rules; times are those of the hub's clock.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog
from redis.exceptions import NoScriptError, RedisError

from kernel import redis_client
from limits.choices import Bucket
from limits.models import LimitRule

log = structlog.get_logger(__name__)
SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text()
_DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
# A call that nobody counts is better than a late one.
TIMEOUT_SECONDS: Final = 0.3
SILENCE_SECONDS: Final = 3.0
UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a call is booked, how long until its turn, and which bucket it waits for."""

    is_booked: bool
    wait_seconds: float
    bucket: Bucket | None


@dataclass(frozen=True, slots=True)
class Used:
    """What a bucket holds: calls of the last 60 seconds and those that have their turn soon."""

    requests: int
    tokens: int


@dataclass(slots=True)
class _Silence:
    """Until when (monotonic seconds) this process does not ask Redis."""

    until: float = 0.0


_silence = _Silence()


class NoRedis(Exception):
    """Redis does not answer: nothing is counted, and what it knew is not known."""


def take(
    *,
    organization_id: UUID,
    call: str,
    rules: Sequence[tuple[Bucket, LimitRule]],
    tokens: int,
    patience_seconds: float,
    now: datetime,
) -> Answer:
    """Book a call that may use `tokens`, unless its turn is further away. Raises NoRedis.

    A call that is larger than a limit counts as all of it, or it would never have its turn.
    """
    values: list[int] = [int(patience_seconds * 1000)]
    for _, rule in rules:
        most = _most(rule.tokens_per_minute)
        needed = tokens if most == UNLIMITED else min(tokens, most)
        values += [_most(rule.requests_per_minute), most, needed]
    buckets = [bucket for bucket, _ in rules]
    wait, place, booked = _run(organization_id, buckets, "take", now, call, *values)
    bucket = buckets[int(place) - 1] if int(place) else None
    return Answer(bool(int(booked)), int(wait) / 1000, bucket)


def settle(
    *, organization_id: UUID, call: str, buckets: Sequence[Bucket], tokens: int, now: datetime
) -> None:
    """Say what a call used; until then it holds what it might have. Raises NoRedis."""
    _run(organization_id, buckets, "settle", now, call, tokens)


def give_back(
    *, organization_id: UUID, call: str, buckets: Sequence[Bucket], now: datetime
) -> None:
    """Forget a call that did not go out. Raises NoRedis."""
    _run(organization_id, buckets, "give_back", now, call)


def show(*, organization_id: UUID, buckets: Sequence[Bucket], now: datetime) -> list[Used]:
    """What each bucket holds, in one round trip. Raises NoRedis."""
    found = [int(each) for each in _run(organization_id, buckets, "show", now, "")]
    return [Used(*pair) for pair in zip(found[::2], found[1::2], strict=True)]


def _run(
    organization_id: UUID,
    buckets: Sequence[Bucket],
    command: str,
    now: datetime,
    call: str,
    *values: int,
) -> Any:
    if time.monotonic() < _silence.until:
        raise NoRedis
    keys = [key for bucket in buckets for key in _keys(organization_id, bucket)]
    milliseconds = int(now.timestamp() * 1000)
    arguments = (len(keys), *keys, command, milliseconds, call, *values)
    redis: Any = redis_client.client(timeout_seconds=TIMEOUT_SECONDS)
    try:
        try:
            return redis.evalsha(_DIGEST, *arguments)
        except NoScriptError:  # a server that was restarted
            return redis.eval(SCRIPT, *arguments)
    except RedisError as error:
        log.warning("limits.not_counted", error=type(error).__name__)
        _silence.until = time.monotonic() + SILENCE_SECONDS
        raise NoRedis from None


def _keys(organization_id: UUID, bucket: Bucket) -> tuple[str, str]:
    scope, name = bucket
    key = f"hub:rate:{organization_id}:{scope}:{name}"
    return key, f"{key}:tokens"


def _most(limit: int | None) -> int:
    return UNLIMITED if limit is None else limit
