"""A listener on the events' channel, and a Redis that may die."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from events.clients import channel
from events.clients.channel import Envelope
from hub.embedded import redis as embedded_redis
from hub.embedded.redis import RedisServer
from kernel import redis_client

Hear = Callable[[int], list[Envelope]]


@pytest.fixture
def hear(django_db_setup: None) -> Iterator[Hear]:
    """`hear(n)` waits for the next n envelopes on the channel."""
    with redis_client.client().pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis' gap
        subscription.subscribe(channel.CHANNEL)
        assert subscription.get_message(timeout=5)["type"] == "subscribe"

        def next_envelopes(count: int) -> list[Envelope]:
            heard = [subscription.get_message(timeout=5) for _ in range(count)]
            return [channel.decode(message["data"]) for message in heard if message]

        yield next_envelopes


@pytest.fixture
def mortal_redis(
    django_db_setup: None, tmp_path: Path, settings: Settings
) -> Iterator[RedisServer]:
    """A Redis of this test's own, which it may stop; the rest of the hub uses it meanwhile."""
    server = embedded_redis.start(tmp_path)
    settings.REDIS_URL = server.url
    redis_client.client.cache_clear()
    yield server
    redis_client.client().close()
    redis_client.client.cache_clear()
    server.stop()
