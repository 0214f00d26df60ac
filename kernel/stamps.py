"""Random stamps in Redis: they say whether what a process remembers of an organization still holds.

A process that remembers something also remembers the stamp that it read *before* the rows. As long
as Redis gives the same stamp, no operation has committed a change since (decision 0005).
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar, cast
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from kernel import redis_client

log = structlog.get_logger(__name__)
T = TypeVar("T")
# How late a write counts at the latest: if its stamp could not be renewed.
MEMORY_SECONDS: Final = 10.0
MOST_REMEMBERED: Final = 10_000
KEPT_SECONDS: Final = 24 * 3600
# Asking the database instead costs a few milliseconds: nobody waits longer for Redis.
TIMEOUT_SECONDS: Final = 0.3
SILENCE_SECONDS: Final = 3.0


@dataclass(slots=True)
class Silence:
    """Until when (monotonic seconds) this process does not ask Redis."""

    until: float = 0.0


silence: Final = Silence()


@dataclass(frozen=True, slots=True)
class Stamps:
    """One stamp for each organization, about what `name` says (`callers`, `overrides`)."""

    name: str

    def read(self, *, organization_id: UUID) -> bytes | None:
        """The present stamp, made if there is none; None while Redis does not answer."""
        if time.monotonic() < silence.until:
            return None
        redis = redis_client.client(timeout_seconds=TIMEOUT_SECONDS)
        key = self._key(organization_id)
        try:
            stamp = redis.get(key)
            if stamp is None:
                redis.set(key, secrets.token_bytes(16), nx=True, ex=KEPT_SECONDS)
                stamp = redis.get(key)
        except RedisError as error:
            log.warning("kernel.stamp.not_read", stamp=self.name, error=type(error).__name__)
            silence.until = time.monotonic() + SILENCE_SECONDS
            return None
        return cast("bytes | None", stamp)  # its other kind is for clients that decode

    def renew(self, *, organization_id: UUID) -> None:
        """Make every process read the organization's rows anew; call it after the commit.

        If Redis does not answer, they do so when what they remember is too old.
        """
        try:
            # The next reader makes another one, and a random one never comes back.
            redis_client.client().delete(self._key(organization_id))
        except RedisError as error:
            log.warning("kernel.stamp.not_renewed", stamp=self.name, error=type(error).__name__)

    def _key(self, organization_id: UUID) -> str:
        return f"hub:{self.name}:{organization_id}"


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[T]):
    """What was read after `stamp`, at `read_at`."""

    value: T
    stamp: bytes
    read_at: float

    def holds(self, stamp: bytes | None) -> bool:
        """Whether nothing was written since, as far as one can know."""
        return self.stamp == stamp and time.monotonic() - self.read_at < MEMORY_SECONDS


class Memory(Generic[T]):
    """What this process remembers of organizations, for as long as their stamps stay."""

    def __init__(self, stamps: Stamps) -> None:
        self._stamps = stamps
        self._known: OrderedDict[tuple[UUID, str], _Remembered[T]] = OrderedDict()
        self._lock = Lock()

    def recall(self, organization_id: UUID, name: str, read: Callable[[], T]) -> T:
        """What is remembered by `name`, or what `read` answers now. Costs a question to Redis."""
        # Before the rows: whatever is written after this line changes the stamp too.
        stamp = self._stamps.read(organization_id=organization_id)
        known = self._known.get((organization_id, name))
        if known is not None and known.holds(stamp):
            return known.value
        value = read()
        if stamp is not None:
            with self._lock:
                self._known[organization_id, name] = _Remembered(value, stamp, time.monotonic())
                self._known.move_to_end((organization_id, name))
                while len(self._known) > MOST_REMEMBERED:
                    self._known.popitem(last=False)
        return value
