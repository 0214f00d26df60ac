"""Nothing is lost and nothing doubled when Redis or the relay dies in between."""

import pytest

from accounts.models import Organization, User
from events import operations, selectors
from events.clients import channel
from hub.embedded import redis as embedded_redis
from hub.embedded.redis import RedisServer
from kernel import clock, redis_client
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
