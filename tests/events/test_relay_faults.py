"""The relay killed, doubled, and without Redis."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from django.db import connection, transaction

from accounts.models import Organization
from events import operations
from events.clients import channel
from events.models import OutboxEvent
from hub.embedded import redis as embedded_redis
from hub.embedded.redis import RedisServer
from kernel import redis_client
from tests.events.conftest import Hear
from tests.events.factories import publish
from tests.threads import Pool

pytestmark = pytest.mark.django_db(transaction=True)
T = TypeVar("T")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Killed(Exception):
    """The relay's process ended here."""


def with_own_connection(function: Callable[[], T]) -> T:
    try:
        return function()
    finally:
        connection.close()


def test_killed_before_sending_the_next_relay_sends(organization: Organization, hear: Hear) -> None:
    publish(organization)
    operations._number_batch()

    assert operations.relay_outbox(now=NOON) == 1
    assert [event.sequence for event in hear(1)] == [1]


def test_killed_while_numbering_no_number_is_lost(organization: Organization, hear: Hear) -> None:
    publish(organization)
    with suppress(Killed), transaction.atomic():
        operations._number_batch()
        raise Killed

    operations.relay_outbox(now=NOON)

    assert [event.sequence for event in hear(1)] == [1]


def test_killed_before_marking_the_same_sequence_is_sent_again(
    organization: Organization, hear: Hear
) -> None:
    publish(organization)
    operations._number_batch()
    with suppress(Killed), transaction.atomic():
        operations._send_batch(now=NOON)
        raise Killed

    operations.relay_outbox(now=NOON)

    assert [event.sequence for event in hear(2)] == [1, 1]


def test_a_late_commit_gets_a_later_number(organization: Organization, hear: Hear) -> None:
    inserted, committed = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            publish(organization, 1)
            inserted.set()
            assert committed.wait(10)

    with Pool(1) as pool:
        late = pool.submit(with_own_connection, slow)
        assert inserted.wait(10)
        publish(organization, 2)
        operations.relay_outbox(now=NOON)
        committed.set()
        late.result()
    operations.relay_outbox(now=NOON)

    assert [(event.sequence, event.data["number"]) for event in hear(2)] == [(1, 2), (2, 1)]


def test_two_relays_at_once_number_densely_and_send_each_once(
    organization: Organization, hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 7)
    for number in range(100):
        publish(organization, number)

    with Pool(2) as pool:
        relays = [
            pool.submit(with_own_connection, lambda: operations.relay_outbox(now=NOON))
            for _ in range(2)
        ]
        sent = sum(relay.result() for relay in relays)

    assert sent == 100
    assert [event.sequence for event in hear(100)] == list(range(1, 101))


def test_without_redis_rows_wait_and_the_next_relay_sends_them(
    organization: Organization, mortal_redis: RedisServer
) -> None:
    mortal_redis.stop()
    publish(organization)

    sent_without = operations.relay_outbox(now=NOON)
    unpublished = OutboxEvent.objects.filter(sequence=1, published_at=None).count()
    reborn = embedded_redis.start(mortal_redis.data_dir, port=mortal_redis.port)
    sent_with = operations.relay_outbox(now=NOON)
    reborn.stop()

    assert (sent_without, unpublished, sent_with) == (0, 1, 1)


def test_live_events_flow_again_when_redis_is_back(
    organization: Organization, mortal_redis: RedisServer
) -> None:
    mortal_redis.stop()
    stream(organization, "perhaps lost")
    reborn = embedded_redis.start(mortal_redis.data_dir, port=mortal_redis.port)

    with redis_client.client().pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis' gap
        subscription.subscribe(channel.CHANNEL)
        assert subscription.get_message(timeout=5)["type"] == "subscribe"
        stream(organization, "heard")
        messages = iter(lambda: subscription.get_message(timeout=10), None)
        texts = (channel.decode(message["data"]).data["text"] for message in messages)
        heard = "heard" in texts
    reborn.stop()

    assert heard


def stream(organization: Organization, text: str) -> None:
    operations.stream(organization_id=organization.pk, type="task.output", data={"text": text})
