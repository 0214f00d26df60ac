"""Taking documents in: each file is an entry that follows it."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from audit import operations as audit
from kernel import redaction
from kernel.actors import Actor
from knowledge.choices import Ingested
from knowledge.clients.folder import Document
from knowledge.models import KnowledgeEntry
from knowledge.operations import chunking, entries


@transaction.atomic
def ingest_document(
    *, organization_id: UUID, document: Document, category: str, actor: Actor, now: datetime
) -> Ingested:
    """Make the living entry with the document's source say what the document says.

    An entry keeps its id through changes. Nothing is written for an unchanged document. Raises
    Invalid for content that is blank or over 2 MB, or has a secret of the organization in it.
    """
    entries.check_content(document.content)
    told = {"content": document.content, "name": document.name, "source": document.source}
    redaction.check(organization_id, told)
    heading = chunking.first_heading(document.content) if document.is_markdown else ""
    title = (heading or document.name)[:500]
    digest = _digest(title, category, document.content)
    _take_turns(organization_id, document.source)
    # Locked, or saving could bring an entry back to life that is being deleted.
    entry = _ingested(organization_id).select_for_update().filter(source=document.source).first()
    if entry is not None and entry.content_hash == digest:
        return Ingested.UNCHANGED
    outcome = Ingested.NEW if entry is None else Ingested.CHANGED
    entry = entry or KnowledgeEntry(
        organization_id=organization_id, source=document.source, created_at=now
    )
    entry.title, entry.category, entry.content = title, category, document.content
    entry.content_hash, entry.updated_at = digest, now
    entry.save()
    count = entries.write_chunks(entry, markdown=document.is_markdown, now=now)
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="knowledge.ingest",
        resource_type="knowledge",
        resource_id=entry.pk,
        details={"source": document.source, "outcome": outcome.value, "chunks": count},
        now=now,
    )
    return outcome


def prune_documents(
    *, organization_id: UUID, folder: str, keep: Collection[str], actor: Actor, now: datetime
) -> int:
    """Remove the ingested entries below `folder` whose sources are not in `keep`.

    Each is a transaction of its own; returns how many there were.
    """
    stale = (
        _ingested(organization_id)
        .filter(source__startswith=f"{folder}/")
        .exclude(source__in=keep)
        .defer("content")
    )
    removed = 0
    for entry in stale:
        entries.delete_entry(entry=entry, actor=actor, now=now)
        removed += 1
    return removed


def _ingested(organization_id: UUID) -> QuerySet[KnowledgeEntry]:
    """Living entries that follow a file; those that people wrote have no hash."""
    return (
        KnowledgeEntry.objects.filter(organization_id=organization_id, deleted_at=None)
        .exclude(content_hash="")
        .order_by("pk")
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def _take_turns(organization_id: UUID, source: str) -> None:
    """Two that ingest one file at once would both find it new; the second waits for the first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{organization_id}{source}"]
        )
