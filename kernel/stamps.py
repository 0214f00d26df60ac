"""Random stamps in Redis: they say whether what a process remembers of an organization still holds.

A process that remembers something also remembers the stamp that it read *before* the rows. As long
as Redis gives the same stamp, no operation has committed a change since (decision 0005).
"""

import secrets
import time
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from kernel import redis_client

log = structlog.get_logger(__name__)
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
