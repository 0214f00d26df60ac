"""What an event hashes to, and whether a chain is whole."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from audit import export_verifier
from audit.choices import AuditStatus
from audit.models import AuditChain, AuditCheckpoint, AuditEvent
from audit.selectors import checkpoints

PAGE: Final = 1000
# What one request may verify: about a second of work.
MOST: Final = 20_000
# A sealer that is further behind than this is not running.
SEALED_WITHIN: Final = timedelta(seconds=60)
# A checkpoint is signed after so many rows, or for the first one that comes after so long.
CHECKPOINT_ROWS: Final = 1000
CHECKPOINT_EVERY: Final = timedelta(minutes=10)
# A row that no checkpoint attests for longer was kept from it, or the sealer does not run.
SIGNED_WITHIN: Final = 2 * CHECKPOINT_EVERY
PLATFORM: Final = UUID(int=0)
# 1 hashed a JSON list without the status; 2 hashes the canonical JSON of `content_of`.
HASH_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row at which a chain is not what it says.

    Kinds: `broken`, `missing`, `unsealed`, `forged` for a checkpoint, and `unanchored` for rows
    whose hashes fit, but that no checkpoint attests.
    """

    organization_id: UUID
    position: int | None
    event_id: UUID | None
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one organization: how many rows were checked, and the first fault.

    The rows are those from `first` on; `checkpoints` of them have a good signature, and attest
    themselves and all before. `next` is where to go on if there was more than one call may check.
    """

    organization_id: UUID
    checked: int
    fault: Fault | None
    first: int = 1
    head: int = 0
    checkpoints: int = 0
    next: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with what was checked."""
        return self.fault is None


def content_of(event: AuditEvent, *, previous_hash: str, position: int) -> dict[str, Any]:
    """Everything that is known of an event, as exports show it."""
    return {
        "version": event.hash_version,
        "previous_hash": previous_hash,
        "position": position,
        "id": str(event.id),
        "organization_id": str(event.organization_id),
        "occurred_at": event.occurred_at.isoformat(),
        "actor_type": event.actor_type,
        "actor_id": event.actor_id,
        "actor_label": event.actor_label,
        "action": event.action,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "status": event.status,
        "details": event.details,
        "ip_address": event.ip_address,
        "request_id": event.request_id,
    }


def hashed_content(event: AuditEvent, *, previous_hash: str, position: int) -> bytes:
    """What the event's hash is over, in the way of its `hash_version`."""
    content = content_of(event, previous_hash=previous_hash, position=position)
    if event.hash_version == 1:
        return orjson.dumps(export_verifier.first_content(content), option=orjson.OPT_SORT_KEYS)
    return export_verifier.canonical(content)


def hash_event(event: AuditEvent, *, previous_hash: str, position: int) -> str:
    """SHA-256 (hex) over the predecessor's hash, the position and every column of the event."""
    content = hashed_content(event, previous_hash=previous_hash, position=position)
    return hashlib.sha256(content).hexdigest()


def verify_all(*, now: datetime) -> Iterator[Verdict]:
    """A verdict for each organization that has events, in id order."""
    chained = set(AuditChain.objects.values_list("organization_id", flat=True))
    seen = set(AuditEvent.objects.order_by().values_list("organization_id", flat=True).distinct())
    for organization_id in sorted(chained | seen):
        yield verify(organization_id=organization_id, now=now)


def find_head(*, organization_id: UUID) -> AuditChain:
    """The head of a chain; of an empty one it is at 0."""
    found = AuditChain.objects.filter(pk=organization_id).first()
    return found or AuditChain(organization_id=organization_id, position=0, checkpointed_position=0)


def verify_recent(*, organization_id: UUID, now: datetime) -> Verdict:
    """The newest MOST rows or fewer, from a checkpoint on; the whole chain if it is not longer."""
    first = 1
    start = find_head(organization_id=organization_id).position - MOST
    if start > 0:
        anchor = checkpoints.find_first(organization_id=organization_id, position=start)
        first = (anchor.position if anchor else start) + 1
    return verify(organization_id=organization_id, now=now, first=first, most=MOST)


def verify(
    *, organization_id: UUID, now: datetime, first: int = 1, most: int | None = None
) -> Verdict:
    """Walk one chain from `first` on and stop at the first broken, missing or unsealed row, at a
    forged checkpoint, or after `most` rows."""
    head = find_head(
        organization_id=organization_id
    )  # before the walk: what is sealed meanwhile is beyond it
    tip = _tip_before(organization_id, first)
    if tip is None:
        lost = _missing(organization_id, first - 1)
        return Verdict(organization_id, 0, lost, first, head.position)
    walk = _Walk(head, first - 1, tip, checkpoints.public_keys())
    fault = walk.begin() or walk.go(most)
    is_over = most is None or walk.checked < most or walk.position >= head.position
    if fault is None and is_over:
        fault = (
            _check_end(head, walk.position)
            or _check_signing(head, now)
            or _overdue(organization_id, now)
            or _check_anchor(walk, first)
            or _unsigned(walk, first, now)
        )
    return Verdict(
        organization_id,
        walk.checked,
        fault,
        first,
        head.position,
        walk.checkpoints,
        None if is_over or fault else walk.position + 1,
    )


@dataclass(slots=True)
class _Walk:
    """From row to row; `position` and `tip` are those of the last good one."""

    head: AuditChain
    position: int
    tip: str
    keys: Mapping[str, bytes]
    checked: int = 0
    checkpoints: int = 0
    anchor: int = 0  # position of the last good checkpoint

    def begin(self) -> Fault | None:
        """Whether the row before the first is attested, if there is a checkpoint of it."""
        if self.position == 0:
            return None
        event = AuditEvent.objects.get(
            organization_id=self.head.organization_id, position=self.position
        )
        signed = _signed(event.organization_id, [event]).get(self.position)
        self.anchor = self.position if signed else 0
        return _check_checkpoint(signed, event, self.keys)

    def go(self, most: int | None) -> Fault | None:
        """To the first fault, the end, or `most` rows further."""
        while most is None or self.checked < most:
            count = PAGE if most is None else min(PAGE, most - self.checked)
            page = _page(self.head.organization_id, self.position, count)
            signed = _signed(self.head.organization_id, page)
            for event in page:
                if fault := self._step(event, signed.get(self.position + 1)):
                    return fault
            if len(page) < count:
                break
        return None

    def _step(self, event: AuditEvent, checkpoint: AuditCheckpoint | None) -> Fault | None:
        fault = (
            _check(event, position=self.position, tip=self.tip)
            or _check_head(self.head, event)
            or _check_checkpoint(checkpoint, event, self.keys)
        )
        if fault is None:
            self.position, self.tip = self.position + 1, event.hash
            self.checked += 1
            if checkpoint is not None:
                self.checkpoints, self.anchor = self.checkpoints + 1, self.position
        return fault


def _page(organization_id: UUID, position: int, count: int) -> Sequence[AuditEvent]:
    rows = AuditEvent.objects.filter(organization_id=organization_id, position__gt=position)
    return list(rows.order_by("position")[:count])


def _tip_before(organization_id: UUID, first: int) -> str | None:
    """The hash that the row at `first` must follow; None if that row is not there."""
    if first == 1:
        return ""
    rows = AuditEvent.objects.filter(organization_id=organization_id, position=first - 1)
    return rows.values_list("hash", flat=True).first()


def _signed(organization_id: UUID, page: Sequence[AuditEvent]) -> dict[int, AuditCheckpoint]:
    positions = [event.position for event in page if event.position is not None]
    if not positions:
        return {}
    found = AuditCheckpoint.objects.filter(
        organization_id=organization_id, position__range=(positions[0], positions[-1])
    )
    return {checkpoint.position: checkpoint for checkpoint in found}


def _check(event: AuditEvent, *, position: int, tip: str) -> Fault | None:
    expected = position + 1
    if event.position != expected:
        return _missing(event.organization_id, expected)
    if (
        event.previous_hash != tip
        or event.hash != hash_event(event, previous_hash=tip, position=expected)
        # The first way of hashing left the status out: then all rows had this one.
        or (event.hash_version == 1 and event.status != AuditStatus.SUCCESS)
    ):
        return Fault(
            event.organization_id,
            expected,
            event.id,
            "broken",
            f"Row {event.id} at position {expected} does not match its hash: it was altered.",
        )
    return None


def _check_head(head: AuditChain, event: AuditEvent) -> Fault | None:
    if event.position == head.position and event.hash != head.hash:
        return _altered_head(head.organization_id, head.position)
    return None


def _check_checkpoint(
    checkpoint: AuditCheckpoint | None, event: AuditEvent, keys: Mapping[str, bytes]
) -> Fault | None:
    if checkpoint is None or (
        checkpoint.hash == event.hash and checkpoints.is_genuine(checkpoint, keys=keys)
    ):
        return None
    sentence = f"The checkpoint at position {checkpoint.position} does not attest this chain."
    return Fault(event.organization_id, event.position, event.id, "forged", sentence)


def _check_end(head: AuditChain, position: int) -> Fault | None:
    if position < head.position:
        return _missing(head.organization_id, position + 1)
    if position > find_head(organization_id=head.organization_id).position:
        return _altered_head(head.organization_id, position)
    return None


def _check_signing(head: AuditChain, now: datetime) -> Fault | None:
    """What the head says of its newest checkpoint; the hub's role can write both columns."""
    position, at = head.checkpointed_position, head.checkpointed_at
    if at is not None and at - now >= CHECKPOINT_EVERY:
        sentence = (
            f"The chain names {at:%Y-%m-%d %H:%M:%S} as the time of its last checkpoint, which is"
            " still to come: that did not come from the hub, or its clock was wrong."
        )
    elif position and not checkpoints.exists(organization_id=head.pk, position=position):
        sentence = f"The chain names a checkpoint at position {position}, where there is none."
    else:
        return None
    return Fault(head.organization_id, position, None, "forged", sentence)


def _check_anchor(walk: "_Walk", first: int) -> Fault | None:
    """Whoever owns the database can hash all rows anew, but not sign them.

    Rows behind the newest checkpoint are not signed yet; a part that begins in the middle of the
    chain may be of them alone.
    """
    if walk.anchor or not walk.checked or (first > 1 and walk.checked < 2 * CHECKPOINT_ROWS):
        return None
    sentence = (
        f"The hashes of rows {first} to {walk.position} fit, but no checkpoint attests them:"
        " whoever owns the database could have written them."
        " Check that a worker and the scheduler run."
    )
    return Fault(walk.head.organization_id, walk.position, None, "unanchored", sentence)


def _unsigned(walk: "_Walk", first: int, now: datetime) -> Fault | None:
    """Looked at in the rows themselves: the head's word on its checkpoints can be another's.

    The walk came to the end, so no checkpoint attests what is behind the last one that it met.
    """
    position = max(walk.anchor, first - 1) + 1
    event = AuditEvent.objects.filter(
        organization_id=walk.head.organization_id,
        position=position,
        occurred_at__lt=now - SIGNED_WITHIN,
    ).first()
    if event is None or position > walk.position:
        return None
    sentence = (
        f"The row at position {position}, of {event.occurred_at:%Y-%m-%d %H:%M:%S}, and those"
        " behind it are attested by no checkpoint yet. Check that a worker and the scheduler run."
    )
    return Fault(walk.head.organization_id, position, event.id, "unanchored", sentence)


def _missing(organization_id: UUID, position: int) -> Fault:
    sentence = f"The row at position {position} is missing."
    return Fault(organization_id, position, None, "missing", sentence)


def _altered_head(organization_id: UUID, position: int) -> Fault:
    sentence = "The head of the chain does not match its last row."
    return Fault(organization_id, position, None, "broken", sentence)


def _overdue(organization_id: UUID, now: datetime) -> Fault | None:
    overdue = (
        AuditEvent.objects.filter(
            organization_id=organization_id, position=None, occurred_at__lt=now - SEALED_WITHIN
        )
        .order_by("pk")
        .first()
    )
    if overdue is not None:
        return Fault(
            organization_id,
            None,
            overdue.id,
            "unsealed",
            f"Row {overdue.id} of {overdue.occurred_at:%Y-%m-%d %H:%M:%S} was never sealed."
            " Check that a worker and the scheduler run.",
        )
    return None
