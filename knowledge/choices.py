"""Vocabularies of knowledge."""

from django.db.models import TextChoices


class Ingested(TextChoices):
    """What became of a document."""

    NEW = "new", "New"
    CHANGED = "changed", "Changed"
    UNCHANGED = "unchanged", "Unchanged"
