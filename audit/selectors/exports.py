"""An export: a part of a chain without gaps, as lines that can be checked without the hub.

`audit.export_verifier` checks them; docs/audit.md describes them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Max, Min

from audit import export_verifier
from audit.models import AuditCheckpoint, AuditEvent
from audit.selectors import chain, checkpoints

PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Extent:
    """Which rows: `first` to `last` by position, none if `last` is before `first`.

    They hold every row of the time asked for that was sealed when the export began, and what was
    sealed between them: without those the hashes would not join.
    """

    organization_id: UUID
    since: datetime | None
    until: datetime | None
    first: int
    last: int
    previous_hash: str
    head_position: int
    head_hash: str
    began_at: datetime


def choose(
    *, organization_id: UUID, since: datetime | None, until: datetime | None, now: datetime
) -> Extent:
    """The extent of an export that begins now; `since` is included, `until` is not."""
    head = chain.find_head(organization_id=organization_id)
    first, last = 1, head.position
    if since or until:
        first, last = _span(organization_id, head.position, since, until)
    before = AuditEvent.objects.filter(organization_id=organization_id, position=first - 1)
    return Extent(
        organization_id=organization_id,
        since=since,
        until=until,
        first=first,
        last=last,
        previous_hash=before.values_list("hash", flat=True).first() or "",
        head_position=head.position,
        head_hash=head.hash,
        began_at=now,
    )


class Export:
    """The lines of an extent, piece by piece; between two pieces it holds nothing open."""

    def __init__(self, extent: Extent) -> None:
        self.is_over = False
        self._extent = extent
        self._key_id = checkpoints.current_key().key_id
        self._position: int | None = None  # before the header
        self._rows = self._checkpoints = 0
        self._tip = extent.previous_hash
        self._digest = hashlib.sha256()

    def next(self) -> bytes:
        """The next piece, one short query or two; after a database Error it may be asked again."""
        if self._position is None:
            self._position = self._extent.first - 1
            return self._give([self._header()])
        rows, signed = self._read(self._position)
        if not rows:
            self.is_over = True
            return _line(self._footer())
        lines: list[Mapping[str, Any]] = []
        for event in rows:
            lines.append(event_line(event))
            if checkpoint := signed.get(event.position or 0):
                lines.append(checkpoint_line(checkpoint))
                self._checkpoints += 1
        self._rows += len(rows)
        self._position, self._tip = rows[-1].position, rows[-1].hash
        return self._give(lines)

    def _read(self, position: int) -> tuple[Sequence[AuditEvent], dict[int, AuditCheckpoint]]:
        mine = {"organization_id": self._extent.organization_id}
        rows = list(
            AuditEvent.objects.filter(
                **mine, position__gt=position, position__lte=self._extent.last
            ).order_by("position")[:PAGE]
        )
        if not rows:
            return rows, {}
        span = (position + 1, rows[-1].position)
        found = AuditCheckpoint.objects.filter(**mine, position__range=span)
        return rows, {checkpoint.position: checkpoint for checkpoint in found}

    def _give(self, lines: Sequence[Mapping[str, Any]]) -> bytes:
        piece = b"".join(map(_line, lines))
        self._digest.update(piece)
        return piece

    def _header(self) -> dict[str, Any]:
        extent = self._extent
        return {
            "type": "header",
            "format": export_verifier.FORMAT,
            "organization_id": str(extent.organization_id),
            "since": extent.since.isoformat() if extent.since else None,
            "until": extent.until.isoformat() if extent.until else None,
            "first": extent.first,
            "last": extent.last,
            "previous_hash": extent.previous_hash,
            "head": {"position": extent.head_position, "hash": extent.head_hash},
            "began_at": extent.began_at.isoformat(),
            "key_id": self._key_id,
        }

    def _footer(self) -> dict[str, Any]:
        footer = {
            "format": export_verifier.FORMAT,
            "organization_id": str(self._extent.organization_id),
            "rows": self._rows,
            "checkpoints": self._checkpoints,
            "last_hash": self._tip,
            "digest": self._digest.hexdigest(),
            "began_at": self._extent.began_at.isoformat(),
            "key_id": self._key_id,
        }
        return {"type": "footer", "footer": footer, "signature": checkpoints.sign(footer)}


def event_line(event: AuditEvent) -> dict[str, Any]:
    """A sealed event as an export has it."""
    tip, position = event.previous_hash, event.position or 0
    content = chain.content_of(event, previous_hash=tip, position=position)
    line = {"type": "event", "hash": event.hash, "event": content}
    if event.hash_version == 1:
        hashed = chain.hashed_content(event, previous_hash=tip, position=position)
        line["content"] = hashed.decode()
    return line


def checkpoint_line(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    """A checkpoint as an export has it."""
    return {
        "type": "checkpoint",
        "checkpoint": checkpoints.content_of(checkpoint),
        "signature": checkpoint.signature,
    }


def _span(
    organization_id: UUID, head: int, since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    rows = AuditEvent.objects.filter(organization_id=organization_id, position__lte=head)
    if since:
        rows = rows.filter(occurred_at__gte=since)
    if until:
        rows = rows.filter(occurred_at__lt=until)
    found = rows.aggregate(first=Min("position"), last=Max("position"))
    return found["first"] or 1, found["last"] or 0


def _line(document: Mapping[str, Any]) -> bytes:
    return export_verifier.canonical(document) + b"\n"
