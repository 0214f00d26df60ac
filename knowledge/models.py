"""Knowledge entries and the chunks of them that are searched."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models

from accounts.models import TenantRow
from kernel.models import SoftDeleted


class KnowledgeEntry(TenantRow, SoftDeleted):
    """One document. Its chunks exist as long as it is alive."""

    title = models.CharField(max_length=500)
    content = models.TextField()
    category = models.CharField(max_length=64, default="general")
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    source = models.CharField(max_length=1000, blank=True)
    # SHA-256 (hex) of what `ingest` read; empty for entries that people wrote, so that any number
    # of those may name the same source.
    content_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "knowledge entries"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "source"],
                condition=models.Q(deleted_at=None) & ~models.Q(content_hash=""),
                name="knowledge_entry_ingested_source",
            )
        ]
        indexes = [
            models.Index(
                fields=["organization", "-created_at", "-id"],
                condition=models.Q(deleted_at=None),
                name="knowledge_entry_newest",
            )
        ]

    def __str__(self) -> str:
        return self.title


class KnowledgeChunk(TenantRow):
    """A passage: the unit of search and of citation. `ordinal` counts from 0 within the entry.

    `search` holds title and headings at weight A and the text at B, stemmed as English, and all
    of it unstemmed at C, so that names and code words are found as they are written.
    """

    # No index of its own: the unique one on entry and ordinal serves.
    entry = models.ForeignKey(KnowledgeEntry, models.CASCADE, related_name="chunks", db_index=False)
    ordinal = models.PositiveIntegerField()
    title = models.CharField(max_length=500)
    heading = models.TextField(blank=True)
    text = models.TextField()
    search = models.GeneratedField(
        expression=SearchVector("title", "heading", config="english", weight="A")
        + SearchVector("text", config="english", weight="B")
        + SearchVector("title", "heading", "text", config="simple", weight="C"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "ordinal"], name="knowledge_chunk_ordinal")
        ]
        indexes = [GinIndex(fields=["search"], name="knowledge_chunk_search")]

    def __str__(self) -> str:
        return f"{self.title} #{self.ordinal}"
