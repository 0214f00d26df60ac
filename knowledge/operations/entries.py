"""Writing and removing entries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid, NotFound
from knowledge.models import KnowledgeChunk, KnowledgeEntry
from knowledge.operations import chunking

CONTENT_BYTES: Final = 2_000_000
BATCH: Final = 500


@transaction.atomic
def create_entry(
    *,
    organization_id: UUID,
    title: str,
    content: str,
    category: str = "general",
    tags: Sequence[str] = (),
    source: str = "",
    actor: Actor,
    now: datetime,
) -> KnowledgeEntry:
    """Write an entry and its passages. Raises Invalid for content that is blank or over 2 MB."""
    check_content(content)
    entry = KnowledgeEntry.objects.create(
        organization_id=organization_id,
        title=title,
        content=content,
        category=category,
        tags=list(dict.fromkeys(tags)),
        source=source,
        created_at=now,
        updated_at=now,
    )
    count = write_chunks(entry, markdown=True, now=now)
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="knowledge.create",
        resource_type="knowledge",
        resource_id=entry.pk,
        details={"title": title, "category": category, "source": source, "chunks": count},
        now=now,
    )
    return entry


@transaction.atomic
def delete_entry(*, entry: KnowledgeEntry, actor: Actor, now: datetime) -> None:
    """Take an entry out of lists and searches; its row stays. Raises NotFound the second time."""
    gone = KnowledgeEntry.objects.filter(pk=entry.pk, deleted_at=None).update(
        deleted_at=now, updated_at=now
    )
    if not gone:
        raise NotFound
    KnowledgeChunk.objects.filter(entry_id=entry.pk).delete()
    audit.record(
        actor=actor,
        organization_id=entry.organization_id,
        action="knowledge.delete",
        resource_type="knowledge",
        resource_id=entry.pk,
        details={"title": entry.title, "source": entry.source},
        now=now,
    )


def check_content(content: str) -> None:
    """Raise Invalid for content that is blank, too large, or that PostgreSQL cannot hold."""
    if not content.strip():
        raise Invalid.field("content", "Send some text.", type="blank")
    if "\x00" in content:
        raise Invalid.field("content", "Remove the NUL characters; send text.")
    if len(content.encode(errors="replace")) > CONTENT_BYTES:
        raise Invalid.field("content", "Send at most 2 MB, in several entries if need be.")


def write_chunks(entry: KnowledgeEntry, *, markdown: bool, now: datetime) -> int:
    """Put the passages of the entry's content in the place of those it has; returns their number.

    Part of its caller's transaction.
    """
    KnowledgeChunk.objects.filter(entry_id=entry.pk).delete()
    chunks = [
        KnowledgeChunk(
            organization_id=entry.organization_id,
            entry_id=entry.pk,
            ordinal=ordinal,
            title=entry.title,
            heading=chunk.heading,
            text=chunk.text,
            created_at=now,
            updated_at=now,
        )
        for ordinal, chunk in enumerate(chunking.chunk(entry.content, markdown=markdown))
    ]
    return len(KnowledgeChunk.objects.bulk_create(chunks, batch_size=BATCH))
