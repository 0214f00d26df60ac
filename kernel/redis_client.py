"""The process's Redis connections."""

from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


@cache
def client(*, timeout_seconds: float = 1) -> "redis.Redis":
    """The blocking client that all share who wait as long; thread-safe, connects on first use."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        # Requests ring doorbells through it: a Redis that hangs must cost them a moment only.
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        health_check_interval=30,
        # One more try covers a restarted server; the default ten hold a request for seconds.
        retry=Retry(NoBackoff(), 1),
    )


def async_client() -> "redis.asyncio.Redis":
    """A new asyncio client for the running event loop; the caller closes it."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=30
    )
