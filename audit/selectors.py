"""Questions about the chain: what an event hashes to, and whether the chain is whole."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
from django.db.models import QuerySet

from audit.models import AuditChain, AuditEvent

PAGE: Final = 1000
# A sealer that is further behind than this is not running.
SEALED_WITHIN: Final = timedelta(seconds=60)
PLATFORM: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row at which a chain is not what it says."""

    organization_id: UUID
    position: int | None
    event_id: UUID | None
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one organization: how many rows were checked, and the first fault."""

    organization_id: UUID
    checked: int
    fault: Fault | None


def list_events(*, organization_id: UUID) -> QuerySet[AuditEvent]:
    """An organization's events, newest first."""
    return AuditEvent.objects.filter(organization_id=organization_id).order_by(
        "-occurred_at", "-pk"
    )


def hash_event(event: AuditEvent, *, previous_hash: str, position: int) -> str:
    """SHA-256 (hex) over the predecessor's hash, the position and every column of the event."""
    content = [
        previous_hash,
        position,
        str(event.id),
        str(event.organization_id),
        event.occurred_at.isoformat(),
        event.actor_type,
        event.actor_id,
        event.actor_label,
        event.action,
        event.resource_type,
        event.resource_id,
        event.details,
        event.ip_address,
        event.request_id,
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def verify_all(*, now: datetime) -> Iterator[Verdict]:
    """A verdict for each organization that has events, in id order."""
    chained = set(AuditChain.objects.values_list("organization_id", flat=True))
    seen = set(AuditEvent.objects.order_by().values_list("organization_id", flat=True).distinct())
    for organization_id in sorted(chained | seen):
        yield verify(organization_id=organization_id, now=now)


def verify(*, organization_id: UUID, now: datetime) -> Verdict:
    """Walk one chain from its start and stop at the first broken, missing or unsealed row."""
    head = _head(organization_id)  # before the walk: what is sealed meanwhile is beyond it
    position, tip = 0, ""
    while True:
        page = list(
            AuditEvent.objects.filter(
                organization_id=organization_id, position__gt=position
            ).order_by("position")[:PAGE]
        )
        for event in page:
            if fault := _check(event, position=position, tip=tip):
                return Verdict(organization_id, position, fault)
            position, tip = position + 1, event.hash
            if position == head.position and tip != head.hash:
                return Verdict(organization_id, position, _altered_head(organization_id, position))
        if len(page) < PAGE:
            break
    fault = _check_end(head, position) or _overdue(organization_id, now)
    return Verdict(organization_id, position, fault)


def _check(event: AuditEvent, *, position: int, tip: str) -> Fault | None:
    expected = position + 1
    if event.position != expected:
        return Fault(
            event.organization_id,
            expected,
            None,
            "missing",
            f"The row at position {expected} is missing.",
        )
    if event.previous_hash != tip or event.hash != hash_event(
        event, previous_hash=tip, position=expected
    ):
        return Fault(
            event.organization_id,
            expected,
            event.id,
            "broken",
            f"Row {event.id} at position {expected} does not match its hash: it was altered.",
        )
    return None


def _head(organization_id: UUID) -> AuditChain:
    found = AuditChain.objects.filter(pk=organization_id).first()
    return found or AuditChain(organization_id=organization_id)


def _check_end(head: AuditChain, position: int) -> Fault | None:
    if position < head.position:
        lost = position + 1
        return Fault(
            head.organization_id, lost, None, "missing", f"The row at position {lost} is missing."
        )
    if position > _head(head.organization_id).position:
        return _altered_head(head.organization_id, position)
    return None


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
