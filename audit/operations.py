"""Writing the chain: record one event, seal those that wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Least, Now

from audit.choices import AuditStatus
from audit.models import AuditChain, AuditCheckpoint, AuditEvent, AuditKey
from audit.selectors import chain, checkpoints, exports
from kernel import batches, jobs
from kernel.actors import SYSTEM, Actor
from kernel.errors import Invalid

BATCH: Final = 500
# The chain may be a second behind; sealing each operation on its own costs a message for each.
SEAL_SECONDS: Final = 1.0
DENIED_EVERY: Final = timedelta(minutes=1)
REFUSALS_KEPT: Final = 10_000
LOCK_SPACE: Final = 0x4155  # "AU": first key of the sealers' advisory locks


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded. `action` is `<noun>.<verb>`; `details` are JSON without secrets.

    `correlation_id` says what it is part of; the HTTP request, unless given.
    """

    actor: Actor
    organization_id: UUID | None
    action: str
    resource_type: str
    resource_id: object = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    status: AuditStatus = AuditStatus.SUCCESS
    correlation_id: str = ""


def record(
    *,
    actor: Actor,
    organization_id: UUID | None,
    action: str,
    resource_type: str,
    resource_id: object = "",
    details: Mapping[str, Any] | None = None,
    status: AuditStatus = AuditStatus.SUCCESS,
    correlation_id: str = "",
    now: datetime,
) -> None:
    """Insert one event in the caller's transaction; the sealer chains it a moment later.

    `action` is `<noun>.<verb>`; `details` must be JSON-able and free of secrets.
    """
    entry = Entry(
        actor,
        organization_id,
        action,
        resource_type,
        resource_id,
        details or {},
        status,
        correlation_id,
    )
    record_all(entries=[entry], now=now)


def record_all(*, entries: Sequence[Entry], now: datetime) -> None:
    """Insert an event for each entry, all in one statement, in the caller's transaction."""
    batches.insert(
        [
            AuditEvent(
                organization_id=entry.organization_id or chain.PLATFORM,
                occurred_at=now,
                actor_type=entry.actor.type,
                actor_id=entry.actor.id,
                actor_label=entry.actor.label[:255],
                action=entry.action,
                resource_type=entry.resource_type,
                resource_id=str(entry.resource_id),
                status=entry.status,
                details=dict(entry.details),
                ip_address=entry.actor.ip_address,
                request_id=entry.correlation_id or entry.actor.request_id,
            )
            for entry in entries
        ]
    )
    jobs.ring("audit.seal_events", after_seconds=SEAL_SECONDS)


def record_denied(
    *,
    actor: Actor,
    action: str,
    resource_type: str,
    resource_id: str = "",
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Record that somebody was refused, once in DENIED_EVERY for the same actor and action.

    Whoever tries a thousand times must not fill the table; what is left out is counted in the next
    row, as `repeated`. Each process remembers its own.
    """
    repeated = _refusals.take((str(actor.organization_id), str(actor), action), now)
    if repeated is None:
        return
    record(
        actor=actor,
        organization_id=actor.organization_id,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        details={**details, "repeated": repeated} if repeated else details,
        status=AuditStatus.DENIED,
        now=now,
    )


@dataclass(slots=True)
class _Refusals:
    """When who was refused what, and how often since it was recorded; the oldest goes first."""

    seen: dict[tuple[str, str, str], tuple[datetime, int]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def take(self, key: tuple[str, str, str], now: datetime) -> int | None:
        """How often it happened since the last row; None if it is too early for another."""
        with self.lock:
            at, count = self.seen.get(key, (None, 0))
            if at is not None and timedelta(0) <= now - at < DENIED_EVERY:
                self.seen[key] = (at, count + 1)
                return None
            self.seen.pop(key, None)
            while len(self.seen) >= REFUSALS_KEPT:
                del self.seen[next(iter(self.seen))]
            self.seen[key] = (now, 0)
            return count


_refusals: Final = _Refusals()


def note_command(name: str, now: datetime) -> None:
    """Record that somebody on the hub's own machine entered the platform's scope by a command."""
    record(
        actor=SYSTEM,
        organization_id=None,
        action="platform.enter",
        resource_type="command",
        resource_id=name,
        now=now,
    )


def verify_chain(
    *, organization_id: UUID, first: int | None, actor: Actor, now: datetime
) -> chain.Verdict:
    """Verify a part of an organization's chain, from `first` on or the newest rows; record that.

    Raises Invalid for a place beyond the end.
    """
    if first is None:
        verdict = chain.verify_recent(organization_id=organization_id, now=now)
    elif first > chain.find_head(organization_id=organization_id).position + 1:
        raise Invalid.field("from_position", "The chain ends before it. Choose a lower one.")
    else:
        verdict = chain.verify(
            organization_id=organization_id, now=now, first=first, most=chain.MOST
        )
    record(
        actor=actor,
        organization_id=organization_id,
        action="audit.verify",
        resource_type="audit",
        resource_id=organization_id,
        details={
            "from_position": verdict.first,
            "checked": verdict.checked,
            "fault": verdict.fault.kind if verdict.fault else None,
        },
        now=now,
    )
    return verdict


@transaction.atomic
def begin_export(
    *,
    organization_id: UUID,
    since: datetime | None,
    until: datetime | None,
    actor: Actor,
    now: datetime,
) -> exports.Extent:
    """The rows that an export which begins now holds; that somebody takes them is recorded."""
    extent = exports.choose(organization_id=organization_id, since=since, until=until, now=now)
    record(
        actor=actor,
        organization_id=organization_id,
        action="audit.export",
        resource_type="audit",
        resource_id=organization_id,
        details={"first": extent.first, "last": extent.last},
        now=now,
    )
    return extent


def seal_events(*, now: datetime) -> int:
    """Seal what waits, organization by organization, and sign what is due.

    Returns the number of rows sealed.
    """
    waiting = (
        AuditEvent.objects.filter(position=None)
        .order_by()
        .values_list("organization_id", flat=True)
        .distinct()
    )
    sealed = sum(_seal_organization(organization_id, now) for organization_id in list(waiting))
    unsigned = AuditChain.objects.filter(
        ~_signed_lately(now), position__gt=F("checkpointed_position")
    )
    for organization_id in list(unsigned.values_list("pk", flat=True)):
        _sign_tail(organization_id=organization_id, now=now)
    return sealed


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
        event.hash_version = chain.HASH_VERSION
        event.position, event.previous_hash = head.position, head.hash
        head.hash = event.hash = chain.hash_event(
            event, previous_hash=head.hash, position=head.position
        )
    if events:
        batches.update(events, ["position", "previous_hash", "hash", "hash_version"])
        head.sealed_at = now
        oldest = min(event.occurred_at for event in events)
        _save(head, ["position", "hash", "sealed_at"], now, waits_since=oldest)
    return len(events)


def _signed_lately(now: datetime) -> Q:
    """A time that lies further ahead than clocks differ is nobody's signature; nor is none."""
    return Q(
        checkpointed_at__isnull=False,
        checkpointed_at__gt=now - chain.CHECKPOINT_EVERY,
        checkpointed_at__lt=now + chain.CHECKPOINT_EVERY,
    )


@transaction.atomic
def _sign_tail(*, organization_id: UUID, now: datetime) -> None:
    if _lock(organization_id):
        _save(AuditChain.objects.get(pk=organization_id), [], now)


def _save(
    head: AuditChain, changed: list[str], now: datetime, waits_since: datetime | None = None
) -> None:
    """Write the head, and a checkpoint of it if one is due.

    It is at once for rows that waited long for their seal (`waits_since`: the oldest's time).
    """
    at, every = head.checkpointed_at, chain.CHECKPOINT_EVERY
    is_due = at is None or abs(now - at) >= every  # ahead: `_signed_lately`
    is_due = is_due or (waits_since is not None and now - waits_since >= every)
    behind = head.position - head.checkpointed_position
    if behind >= chain.CHECKPOINT_ROWS or (behind and is_due):
        _sign(head, now)
        head.checkpointed_position = head.position
        # The database refuses a time that is ahead of its own clock; ours may be.
        head.checkpointed_at = Least(Value(now), Now())
        changed = [*changed, "checkpointed_position", "checkpointed_at"]
    if changed:
        head.save(update_fields=changed)


def _sign(head: AuditChain, now: datetime) -> None:
    key = checkpoints.current_key()
    AuditKey.objects.get_or_create(
        key_id=key.key_id, defaults={"public_key": key.raw, "created_at": now}
    )
    checkpoint = AuditCheckpoint(
        organization_id=head.pk,
        position=head.position,
        hash=head.hash,
        signed_at=now,
        key_id=key.key_id,
    )
    checkpoint.signature = checkpoints.sign(checkpoints.content_of(checkpoint))
    # One that somebody put at this place is named by whoever verifies; it must not stop the hub.
    AuditCheckpoint.objects.bulk_create([checkpoint], ignore_conflicts=True)


def _lock(organization_id: UUID) -> bool:
    """One sealer an organization at a time; held to the end of the transaction."""
    with connection.cursor() as cursor:
        # Only 32 bits are left for the organization: two that collide merely take turns.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)",
            [LOCK_SPACE, organization_id.int % 2**31],
        )
        return bool(cursor.fetchone()[0])
