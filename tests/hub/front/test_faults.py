"""Nothing is lost and nothing doubled when Redis or the relay dies in between."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, transaction

from accounts.models import Organization, User
from events import operations, selectors
from events.clients import channel
from hub.embedded import redis as embedded_redis
from hub.embedded.redis import RedisServer
from hub.front import callers, switchboard
from kernel import clock, redis_client
from tests.accounts import factories
from tests.events.factories import publish, publish_now
from tests.hub.front import peer
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)


def send_out_of_turn(sequence: int) -> None:
    """One numbered event on the channel, as a relay would send it."""
    (row,) = selectors.list_since(sequence=sequence - 1, limit=1)
    channel.publish(
        [
            channel.encode(
                organization_id=row.organization_id,
                user_id=None,
                type=row.type,
                data=row.data,
                sequence=row.sequence,
            )
        ]
    )


def number(organization: Organization, *numbers: int) -> None:
    """Events that a relay numbered and did not send before it died."""
    for each in numbers:
        publish(organization, each)
    operations._number_batch()


def test_a_front_begins_at_the_present(
    organization: Organization, viewer: User, hasty: None
) -> None:
    publish_now(organization, 1)

    with peer.running() as front, front.client(viewer, "task.*") as client:
        publish_now(viewer.organization, 2)

        assert client.numbers(1) == [2]


def test_a_gap_is_filled_from_the_table_in_order(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        number(viewer.organization, 1, 2, 3)
        send_out_of_turn(3)
        heard = client.numbers(3)
        publish_now(viewer.organization, 4)

        assert [*heard, *client.numbers(1)] == [1, 2, 3, 4]


def test_a_wide_gap_is_filled_without_dropping_anybody(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        with transaction.atomic():
            number(viewer.organization, *range(1, 1001))
            operations._number_batch()

        assert client.numbers(1000) == list(range(1, 1001))


def test_a_sequence_seen_before_is_dropped(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        publish_now(viewer.organization, 1)
        publish_now(viewer.organization, 2)
        send_out_of_turn(1)
        send_out_of_turn(2)
        publish_now(viewer.organization, 3)

        assert client.numbers(3) == [1, 2, 3]


def test_what_a_dead_relay_numbered_arrives_without_any_message(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        number(viewer.organization, 1, 2)
        heard = client.numbers(2)
        publish_now(viewer.organization, 3)

        assert [*heard, *client.numbers(1)] == [1, 2, 3]


@pytest.mark.parametrize(
    "junk", [b"", b"\xff", b"{}", b'["x",null,"task.created",{},1]', b"[" * 5000]
)
def test_junk_on_the_channel_harms_nobody(front: Front, viewer: User, junk: bytes) -> None:
    with front.client(viewer, "task.*") as client:
        redis_client.client().publish(channel.CHANNEL, junk)
        publish_now(viewer.organization, 1)

        assert client.numbers(1) == [1]


def test_redis_restarted_empty_loses_no_event(
    mortal_redis: RedisServer, transactional_db: None, hasty: None, viewer: User
) -> None:
    with peer.running() as front, front.client(viewer, "task.*") as client:
        publish_now(viewer.organization, 1)
        before = client.numbers(1)
        mortal_redis.stop()
        number(viewer.organization, 2, 3)
        during = client.numbers(2)
        reborn = embedded_redis.start(mortal_redis.data_dir, port=mortal_redis.port)
        redis_client.client().flushall()
        operations.relay_outbox(now=clock.now())
        publish_now(viewer.organization, 4)
        after = client.numbers(1)
    reborn.stop()

    assert (before, during, after) == ([1], [2, 3], [4])


def test_live_events_flow_again_after_redis_came_back(
    mortal_redis: RedisServer, transactional_db: None, hasty: None, viewer: User
) -> None:
    with peer.running() as front, front.client(viewer, "task.*") as client:
        mortal_redis.stop()
        reborn = embedded_redis.start(mortal_redis.data_dir, port=mortal_redis.port)
        while redis_client.client().pubsub_numsub(channel.CHANNEL)[0][1] == 0:
            pass
        operations.stream(
            organization_id=viewer.organization_id, type="task.output", data={"number": 1}
        )

        assert client.numbers(1) == [1]
    reborn.stop()


class Stumbling:
    """A call that fails the first `times`, then does what it should."""

    def __init__(self, function: Callable[..., Any], error: Exception, times: int = 2) -> None:
        self._function = function
        self._error = error
        self._failures = iter(range(times))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if next(self._failures, None) is not None:
            raise self._error
        return self._function(*args, **kwargs)


def test_a_database_that_fails_leaves_the_gap_for_later(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front.client(viewer, "task.*") as client:
        stumbling = Stumbling(selectors.list_since, OperationalError())
        number(viewer.organization, 1, 2)
        monkeypatch.setattr(selectors, "list_since", stumbling)
        operations.relay_outbox(now=clock.now())
        publish_now(viewer.organization, 3)

        assert client.numbers(3) == [1, 2, 3]


def test_an_event_that_breaks_delivery_does_not_silence_the_next(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbling = Stumbling(switchboard._may_read, RuntimeError(), times=1)

    with front.client(viewer, "task.*") as client:
        monkeypatch.setattr(switchboard, "_may_read", stumbling)
        publish_now(viewer.organization, 1)
        publish_now(viewer.organization, 2)

        assert client.numbers(1) == [2]


def test_a_database_that_fails_closes_no_socket(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = threading.Semaphore(0)

    def fail(**_: Any) -> None:
        looks.release()
        raise OperationalError

    with front.client(viewer) as client:
        monkeypatch.setattr(callers, "list_present", fail)
        assert looks.acquire(timeout=10)
        assert looks.acquire(timeout=10)

        assert client.ask(type="ping") == ("pong", None)


def test_without_a_database_a_new_socket_is_told_to_try_again(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbling = Stumbling(callers.authenticate, OperationalError())
    monkeypatch.setattr(callers, "authenticate", stumbling)

    with front.connect(f"?token={factories.make_token(viewer)}") as client:
        assert client.close_code() == 1013
