"""Telling what happened: durably through the outbox, or live to whoever is connected."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from django.db import connection, transaction
from redis.exceptions import RedisError

from events import choices
from events.clients import channel, live
from events.models import OutboxEvent, OutboxHead
from kernel import jobs

log = structlog.get_logger(__name__)
BATCH: Final = 500
KEPT: Final = timedelta(hours=24)
RELAY_LOCK: Final = 0x4556  # "EV": the relay's advisory lock


def publish(
    *,
    organization_id: UUID,
    type: str,  # noqa: A002 - the wire's word
    data: Mapping[str, Any],
    now: datetime,
    user_id: UUID | None = None,
) -> None:
    """Insert one event in the caller's transaction; the relay sends it after the commit.

    `data` is small and JSON-able (UUID, datetime and Decimal become strings): ids and states, not
    contents. With `user_id` only that user gets it. Raises ValueError for an unknown or live
    type and for a personal type without a user, TypeError for data that JSON cannot carry.
    """
    publish_many(organization_id=organization_id, type=type, data=[data], now=now, user_id=user_id)


def publish_many(
    *,
    organization_id: UUID,
    type: str,  # noqa: A002 - the wire's word
    data: Sequence[Mapping[str, Any]],
    now: datetime,
    user_id: UUID | None = None,
) -> None:
    """Like `publish`, one event for each of `data`, in their order and in one statement."""
    kind = choices.get_type(type)
    if kind.live or (kind.personal and user_id is None):
        raise ValueError(f"{type} is live-only, or personal and needs a user_id.")
    OutboxEvent.objects.bulk_create(
        OutboxEvent(
            organization_id=organization_id,
            user_id=user_id,
            type=type,
            # Checked here: data that the relay could not send would hold up all events behind it.
            data=orjson.loads(channel.to_json(each)),
            occurred_at=now,
        )
        for each in data
    )
    jobs.ring("events.relay_outbox")


def stream(
    *,
    organization_id: UUID,
    type: str,  # noqa: A002 - the wire's word
    data: Mapping[str, Any],
) -> None:
    """Send one live event to whoever is connected; nothing is stored, nothing is guaranteed.

    Never blocks and never fails for Redis' sake, so it may be called from an event loop as well
    as from a thread: a background thread sends, in order, and drops what it cannot send. Raises
    ValueError for a type that is not live.
    """
    if not choices.get_type(type).live:
        raise ValueError(f"{type} is not a live event type. Use publish.")
    live.send(
        channel.encode(
            organization_id=organization_id, user_id=None, type=type, data=data, sequence=None
        )
    )


def relay_outbox(*, now: datetime) -> int:
    """Number what was committed and send what was numbered; returns the number of events sent.

    Killed between any two steps, it loses nothing: the next relay goes on, and whoever got an
    event already drops it by its sequence. Redis being down ends it with one line in the log.
    """
    while _number_batch() == BATCH:
        pass
    sent = 0
    while True:
        try:
            count = _send_batch(now=now)
        except RedisError as error:
            log.warning("events.relay.not_sent", error=type(error).__name__)
            return sent
        sent += count
        if count < BATCH:
            return sent


def prune_outbox(*, now: datetime) -> int:
    """Delete what was published over 24 hours ago, in small batches; returns how many rows."""
    deleted = 0
    while True:
        old = OutboxEvent.objects.filter(published_at__lt=now - KEPT).order_by("published_at")
        count, _ = OutboxEvent.objects.filter(
            pk__in=list(old.values_list("pk", flat=True)[:BATCH])
        ).delete()
        deleted += count
        if count < BATCH:
            return deleted


@transaction.atomic
def _number_batch() -> int:
    """Continue the sequence over committed rows, oldest first; returns how many."""
    _lock()
    head, _ = OutboxHead.objects.get_or_create(pk=OutboxHead.ONLY)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE events_outboxevent AS event SET sequence = %s + waiting.place FROM ("
            " SELECT id, row_number() OVER (ORDER BY id) AS place FROM events_outboxevent"
            " WHERE sequence IS NULL ORDER BY id LIMIT %s"
            ") AS waiting WHERE event.id = waiting.id",
            [head.sequence, BATCH],
        )
        numbered = int(cursor.rowcount)
    if numbered:
        head.sequence += numbered
        head.save(update_fields=["sequence"])
    return numbered


@transaction.atomic
def _send_batch(*, now: datetime) -> int:
    """Send the oldest unpublished events, then mark them; returns how many.

    Their numbers were committed before. The transaction stays open over the Redis call (seconds
    at most) because its lock ends with it, even when the host vanishes; a session's would not.
    """
    _lock()
    events = list(
        OutboxEvent.objects.filter(sequence__isnull=False, published_at=None).order_by("sequence")[
            :BATCH
        ]
    )
    if events:
        channel.publish(
            channel.encode(
                organization_id=event.organization_id,
                user_id=event.user_id,
                type=event.type,
                data=event.data,
                sequence=event.sequence,
            )
            for event in events
        )
        OutboxEvent.objects.filter(pk__in=[event.pk for event in events]).update(published_at=now)
    return len(events)


def _lock() -> None:
    """One relay at a time: two would number twice and send out of order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RELAY_LOCK])
