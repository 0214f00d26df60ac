"""Publishing, and the relay's everyday."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from accounts.models import Organization, User
from events import operations, selectors
from events.clients.channel import Envelope
from events.models import OutboxEvent
from events.tasks import relay_outbox
from kernel import redis_client
from tests.events.conftest import Hear
from tests.events.factories import publish

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def sequences() -> list[int | None]:
    return list(OutboxEvent.objects.order_by("id").values_list("sequence", flat=True))


def test_publish_writes_a_row_without_a_number(organization: Organization) -> None:
    operations.publish(
        organization_id=organization.pk, type="task.created", data={"id": "7"}, now=NOON
    )

    event = OutboxEvent.objects.get()
    assert (event.organization_id, event.user_id, event.type) == (
        organization.pk,
        None,
        "task.created",
    )
    assert (event.data, event.occurred_at) == ({"id": "7"}, NOON)
    assert (event.sequence, event.published_at) == (None, None)


def test_publish_rings_the_relay_after_the_commit(organization: Organization) -> None:
    bell = "hub:doorbell:events.relay_outbox"

    with transaction.atomic():
        publish(organization)
        rung_before = redis_client.client().exists(bell)

    assert (rung_before, redis_client.client().exists(bell)) == (0, 1)


def test_publish_leaves_nothing_when_the_operation_fails(organization: Organization) -> None:
    with suppress(RuntimeError), transaction.atomic():
        publish(organization)
        raise RuntimeError

    assert not OutboxEvent.objects.exists()
    assert operations.relay_outbox(now=NOON) == 0


@pytest.mark.parametrize("kind", ["task.invented", "task.output", "notification"])
def test_publish_refuses_unknown_live_and_ownerless_types(
    organization: Organization, kind: str
) -> None:
    with pytest.raises(ValueError, match=kind):
        publish(organization, type=kind)

    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("poison", [2**64, "\ud800"])
def test_publish_refuses_what_nobody_could_read(organization: Organization, poison: object) -> None:
    with pytest.raises(TypeError):
        publish(organization, data={"poison": poison})

    assert not OutboxEvent.objects.exists()


def test_publish_takes_what_ids_and_instants_are_made_of(organization: Organization) -> None:
    key = uuid4()

    publish(organization, data={"id": key, "at": NOON, "cost": Decimal("0.10")})

    assert OutboxEvent.objects.get().data == {
        "id": str(key),
        "at": "2026-05-04T12:00:00Z",
        "cost": "0.10",
    }


def test_relay_sends_in_order_and_marks(
    organization: Organization, viewer: User, hear: Hear
) -> None:
    publish(organization, 1)
    publish(organization, 2, type="notification", user_id=viewer.pk)

    sent = operations.relay_outbox(now=NOON)

    assert sent == 2
    assert hear(2) == [
        Envelope(organization.pk, None, "task.created", {"number": 1}, 1),
        Envelope(organization.pk, viewer.pk, "notification", {"number": 2}, 2),
    ]
    assert set(OutboxEvent.objects.values_list("published_at", flat=True)) == {NOON}


def test_relay_sends_nothing_twice_in_peace(organization: Organization) -> None:
    publish(organization)
    operations.relay_outbox(now=NOON)

    assert operations.relay_outbox(now=NOON) == 0


def test_relay_empties_more_than_a_batch(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 3)
    for number in range(8):
        publish(organization, number)

    assert operations.relay_outbox(now=NOON) == 8
    assert sequences() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_pruning_deletes_what_is_older_than_a_day(organization: Organization) -> None:
    publish(organization, 1)
    operations.relay_outbox(now=NOON)
    publish(organization, 2)
    operations.relay_outbox(now=NOON + timedelta(minutes=1))
    publish(organization, 3)

    deleted = operations.prune_outbox(now=NOON + timedelta(hours=24, seconds=1))

    assert deleted == 1
    assert [event.data["number"] for event in OutboxEvent.objects.order_by("id")] == [2, 3]


def test_the_sequence_goes_on_over_a_pruned_table(organization: Organization) -> None:
    publish(organization)
    operations.relay_outbox(now=NOON)
    operations.prune_outbox(now=NOON + timedelta(days=2))
    publish(organization)
    operations.relay_outbox(now=NOON)

    assert sequences() == [2]


def test_pruning_works_in_batches(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 2)
    for number in range(5):
        publish(organization, number)
    operations.relay_outbox(now=NOON)

    assert operations.prune_outbox(now=NOON + timedelta(days=2)) == 5
    assert not OutboxEvent.objects.exists()


def test_the_last_sequence_is_zero_before_the_first_event(db: None) -> None:
    assert selectors.get_last_sequence() == 0


def test_the_events_since_a_sequence_come_in_order_and_bounded(organization: Organization) -> None:
    for number in range(1, 6):
        publish(organization, number)
    operations.relay_outbox(now=NOON)
    publish(organization, 6)

    found = selectors.list_since(sequence=2, limit=2)

    assert [event.sequence for event in found] == [3, 4]
    assert selectors.get_last_sequence() == 5
    assert selectors.list_since(sequence=5, limit=2) == []


def test_live_events_are_sent_in_order_and_not_stored(
    organization: Organization, hear: Hear
) -> None:
    task = UUID(int=7)

    for text in ("Hel", "lo"):
        operations.stream(
            organization_id=organization.pk,
            type="task.output",
            data={"task_id": task, "text": text},
        )

    assert hear(2) == [
        Envelope(organization.pk, None, "task.output", {"task_id": str(task), "text": text}, None)
        for text in ("Hel", "lo")
    ]
    assert not OutboxEvent.objects.exists()


def test_stream_refuses_stored_types(organization: Organization) -> None:
    with pytest.raises(ValueError, match=r"task\.created"):
        operations.stream(organization_id=organization.pk, type="task.created", data={})


def test_the_job_relays(organization: Organization, hear: Hear) -> None:
    publish(organization)

    relay_outbox.apply()

    assert [event.sequence for event in hear(1)] == [1]
