"""Vocabularies of knowledge."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class Ingested(TextChoices):
    """What became of a document."""

    NEW = "new", "New"
    CHANGED = "changed", "Changed"
    UNCHANGED = "unchanged", "Unchanged"


PERMISSIONS: Final = (
    Permission("knowledge.read", "Knowledge", "Read and search the knowledge base.", reads=True),
    Permission("knowledge.edit", "Knowledge", "Write and delete knowledge."),
)
