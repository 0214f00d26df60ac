"""Writing the chain: record one event, seal those that wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from audit import selectors
from audit.models import AuditChain, AuditEvent
from kernel import batches, jobs
from kernel.actors import Actor

BATCH: Final = 500
# The chain may be a second behind; sealing each operation on its own costs a message for each.
SEAL_SECONDS: Final = 1.0
LOCK_SPACE: Final = 0x4155  # "AU": first key of the sealers' advisory locks


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded. `action` is `<noun>.<verb>`; `details` are JSON without secrets."""

    actor: Actor
    organization_id: UUID | None
    action: str
    resource_type: str
    resource_id: object = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def record(
    *,
    actor: Actor,
    organization_id: UUID | None,
    action: str,
    resource_type: str,
    resource_id: object = "",
    details: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Insert one event in the caller's transaction; the sealer chains it a moment later.

    `action` is `<noun>.<verb>`; `details` must be JSON-able and free of secrets.
    """
    entry = Entry(actor, organization_id, action, resource_type, resource_id, details or {})
    record_all(entries=[entry], now=now)


def record_all(*, entries: Sequence[Entry], now: datetime) -> None:
    """Insert an event for each entry, all in one statement, in the caller's transaction."""
    batches.insert(
        [
            AuditEvent(
                organization_id=entry.organization_id or selectors.PLATFORM,
                occurred_at=now,
                actor_type=entry.actor.type,
                actor_id=entry.actor.id,
                actor_label=entry.actor.label[:255],
                action=entry.action,
                resource_type=entry.resource_type,
                resource_id=str(entry.resource_id),
                details=dict(entry.details),
                ip_address=entry.actor.ip_address,
                request_id=entry.actor.request_id,
            )
            for entry in entries
        ]
    )
    jobs.ring("audit.seal_events", after_seconds=SEAL_SECONDS)


def seal_events(*, now: datetime) -> int:
    """Seal what waits, organization by organization; returns the number of rows sealed."""
    waiting = (
        AuditEvent.objects.filter(position=None)
        .order_by()
        .values_list("organization_id", flat=True)
        .distinct()
    )
    return sum(_seal_organization(organization_id, now) for organization_id in list(waiting))


def _seal_organization(organization_id: UUID, now: datetime) -> int:
    sealed = 0
    while True:
        count = _seal_batch(organization_id=organization_id, now=now)
        sealed += count
        if count < BATCH:
            return sealed


@transaction.atomic
def _seal_batch(*, organization_id: UUID, now: datetime) -> int:
    if not _lock(organization_id):
        return 0
    head, _ = AuditChain.objects.get_or_create(pk=organization_id, defaults={"sealed_at": now})
    events = list(
        AuditEvent.objects.filter(organization_id=organization_id, position=None).order_by("pk")[
            :BATCH
        ]
    )
    for event in events:
        head.position += 1
        event.position, event.previous_hash = head.position, head.hash
        head.hash = event.hash = selectors.hash_event(
            event, previous_hash=head.hash, position=head.position
        )
    if events:
        batches.update(events, ["position", "previous_hash", "hash"])
        head.sealed_at = now
        head.save(update_fields=["position", "hash", "sealed_at"])
    return len(events)


def _lock(organization_id: UUID) -> bool:
    """One sealer an organization at a time; held to the end of the transaction."""
    with connection.cursor() as cursor:
        # Only 32 bits are left for the organization: two that collide merely take turns.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)",
            [LOCK_SPACE, organization_id.int % 2**31],
        )
        return bool(cursor.fetchone()[0])
