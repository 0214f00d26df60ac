"""Entries and documents for tests."""

from datetime import UTC, datetime
from typing import Any

from accounts.models import Organization
from kernel.actors import SYSTEM
from knowledge.clients.folder import Document
from knowledge.models import KnowledgeEntry
from knowledge.operations import entries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(organization: Organization, **fields: Any) -> KnowledgeEntry:
    """A written entry."""
    asked: dict[str, Any] = {"title": "Note", "content": "Nothing much.", "now": NOW} | fields
    return entries.create_entry(organization_id=organization.pk, actor=SYSTEM, **asked)


def document(content: str, source: str = "docs/tasks.md") -> Document:
    """A file as read."""
    name, _, suffix = source.rpartition("/")[2].rpartition(".")
    return Document(source=source, name=name, content=content, is_markdown=suffix == "md")
