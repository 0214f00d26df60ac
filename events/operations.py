"""Telling what happened: durably through the outbox, or live to whoever is connected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from django.db import connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from redis.exceptions import RedisError

from events import choices
from events.clients import channel, live
from events.models import OutboxEvent, OutboxHead
from kernel import batches, jobs

log = structlog.get_logger(__name__)
BATCH: Final = 500
KEPT: Final = timedelta(hours=24)
# What travels is what was stored, unparsed.
AS_STORED: Final = Cast("data", TextField())
RELAY_LOCK: Final = 0x4556  # "EV": the relay's advisory lock


@dataclass(frozen=True, slots=True)
class Message:
    """An event to publish; the fields are those of `publish`."""

    organization_id: UUID
    type: str
    data: Mapping[str, Any]
    user_id: UUID | None = None


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
    publish_all(messages=[Message(organization_id, type, data, user_id)], now=now)


def publish_all(*, messages: Sequence[Message], now: datetime) -> None:
    """Like `publish` for each message, in their order and in one statement."""
    for message in messages:
        kind = choices.get_type(message.type)
        if kind.live or (kind.personal and message.user_id is None):
            raise ValueError(f"{message.type} is live-only, or personal and needs a user_id.")
    batches.insert(
        [
            OutboxEvent(
                organization_id=message.organization_id,
                user_id=message.user_id,
                type=message.type,
                # Checked here: what the relay could not send would hold up all events behind it.
                data=orjson.loads(channel.to_json(message.data)),
                occurred_at=now,
            )
            for message in messages
        ]
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
        OutboxEvent.objects.filter(sequence__isnull=False, published_at=None)
        .order_by("sequence")
        .values_list("pk", "organization_id", "user_id", "type", AS_STORED, "sequence")[:BATCH]
    )
    if events:
        channel.publish(
            channel.encode(
                organization_id=organization_id,
                user_id=user_id,
                type=kind,
                data=orjson.Fragment(data),
                sequence=sequence,
            )
            for _, organization_id, user_id, kind, data, sequence in events
        )
        OutboxEvent.objects.filter(pk__in=[event[0] for event in events]).update(published_at=now)
    return len(events)


def _lock() -> None:
    """One relay at a time: two would number twice and send out of order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RELAY_LOCK])
