"""Writing, removing and ingesting entries, with their passages and their audit rows."""

from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organization
from audit.models import AuditEvent
from kernel.actors import SYSTEM
from kernel.errors import Invalid, NotFound
from knowledge import selectors
from knowledge.choices import Ingested
from knowledge.models import KnowledgeChunk, KnowledgeEntry
from knowledge.operations import entries, ingest
from tests.knowledge import factories
from tests.knowledge.factories import NOW
from tests.threads import Pool

LATER = NOW + timedelta(hours=1)


def audited(organization: Organization) -> list[tuple[str, dict[str, Any]]]:
    """Action and details of the organization's audit rows, oldest first."""
    rows = AuditEvent.objects.filter(organization_id=organization.pk).order_by("pk")
    return list(rows.values_list("action", "details"))


def take_in(
    organization: Organization,
    content: str,
    source: str = "docs/tasks.md",
    category: str = "general",
) -> Ingested:
    """Ingest one document an hour after NOW."""
    return ingest.ingest_document(
        organization_id=organization.pk,
        document=factories.document(content, source),
        category=category,
        actor=SYSTEM,
        now=LATER,
    )


def test_an_entry_is_written_with_its_passages(organization: Organization) -> None:
    entry = factories.entry(
        organization, title="Tasks", content="# One\n\nA.\n\n# Two\n\nB.", tags=["x", "y", "x"]
    )

    stored = KnowledgeEntry.objects.get()
    chunks = KnowledgeChunk.objects.order_by("ordinal")
    assert (stored.pk, stored.category, stored.tags, stored.content_hash) == (
        entry.pk,
        "general",
        ["x", "y"],
        "",
    )
    assert [(c.ordinal, c.title, c.heading, c.text, c.organization_id) for c in chunks] == [
        (0, "Tasks", "One", "# One\n\nA.", organization.pk),
        (1, "Tasks", "Two", "# Two\n\nB.", organization.pk),
    ]


def test_writing_is_audited_without_the_content(organization: Organization) -> None:
    factories.entry(organization, title="Tasks", content="Secret plan.", source="wiki")

    assert audited(organization) == [
        (
            "knowledge.create",
            {"title": "Tasks", "category": "general", "source": "wiki", "chunks": 1},
        )
    ]


def test_many_written_entries_may_name_one_source(organization: Organization) -> None:
    factories.entry(organization, source="wiki")
    factories.entry(organization, source="wiki")

    assert KnowledgeEntry.objects.filter(source="wiki").count() == 2


@pytest.mark.parametrize(
    "content",
    [" \n", "a\x00b", "é" * 1_000_001, "x" * 2_000_001],
    ids=["blank", "NUL", "bytes", "characters"],
)
def test_content_that_cannot_be_held_is_refused(organization: Organization, content: str) -> None:
    with pytest.raises(Invalid) as caught:
        factories.entry(organization, content=content)

    assert [field["field"] for field in caught.value.fields] == ["content"]
    assert not KnowledgeEntry.objects.exists()
    assert audited(organization) == []


def test_content_of_exactly_two_megabytes_is_taken(organization: Organization) -> None:
    factories.entry(organization, content="word " * 400_000)

    assert KnowledgeChunk.objects.count() == 1667


def test_a_deleted_entry_stays_as_a_row_without_passages(organization: Organization) -> None:
    entry = factories.entry(organization, title="Tasks", source="wiki")

    entries.delete_entry(entry=entry, actor=SYSTEM, now=LATER)

    stored = KnowledgeEntry.objects.get()
    assert (stored.deleted_at, stored.updated_at) == (LATER, LATER)
    assert not KnowledgeChunk.objects.exists()
    assert audited(organization)[1:] == [("knowledge.delete", {"title": "Tasks", "source": "wiki"})]


def test_an_entry_is_deleted_once(organization: Organization) -> None:
    entry = factories.entry(organization)
    entries.delete_entry(entry=entry, actor=SYSTEM, now=LATER)

    with pytest.raises(NotFound):
        entries.delete_entry(entry=entry, actor=SYSTEM, now=LATER)

    assert len(audited(organization)) == 2


def test_a_new_document_becomes_an_entry(organization: Organization) -> None:
    outcome = take_in(organization, "# All about tasks\n\nA lease.", category="manual")

    entry = KnowledgeEntry.objects.get()
    assert outcome is Ingested.NEW
    assert (entry.title, entry.source, entry.category, entry.created_at) == (
        "All about tasks",
        "docs/tasks.md",
        "manual",
        LATER,
    )
    assert audited(organization) == [
        ("knowledge.ingest", {"source": "docs/tasks.md", "outcome": "new", "chunks": 1})
    ]


@pytest.mark.parametrize(
    ("source", "content", "title"),
    [
        ("docs/tasks.md", "No heading.", "tasks"),
        ("docs/tasks.txt", "# Not a heading", "tasks"),
        ("docs/tasks.md", "# " + "t" * 190, "t" * 190),
    ],
)
def test_the_title_is_the_first_heading_or_the_name(
    organization: Organization, source: str, content: str, title: str
) -> None:
    take_in(organization, content, source)

    assert KnowledgeEntry.objects.get().title == title


def test_an_unchanged_document_writes_nothing(organization: Organization) -> None:
    take_in(organization, "A lease.")

    outcome = take_in(organization, "A lease.")

    assert outcome is Ingested.UNCHANGED
    assert len(audited(organization)) == 1
    assert KnowledgeChunk.objects.count() == 1


def test_a_changed_document_keeps_its_entry(organization: Organization) -> None:
    take_in(organization, "A lease.")
    before = KnowledgeEntry.objects.get()

    outcome = take_in(organization, "A fencing token.")

    after = KnowledgeEntry.objects.get()
    assert outcome is Ingested.CHANGED
    assert (after.pk, after.content) == (before.pk, "A fencing token.")
    assert [c.text for c in KnowledgeChunk.objects.all()] == ["A fencing token."]
    assert audited(organization)[1][1]["outcome"] == "changed"


def test_another_category_is_a_change(organization: Organization) -> None:
    take_in(organization, "A lease.")

    outcome = take_in(organization, "A lease.", category="manual")

    assert outcome is Ingested.CHANGED
    assert KnowledgeEntry.objects.get().category == "manual"


def test_a_deleted_document_is_new_again(organization: Organization) -> None:
    take_in(organization, "A lease.")
    entries.delete_entry(entry=KnowledgeEntry.objects.get(), actor=SYSTEM, now=LATER)

    assert take_in(organization, "A lease.") is Ingested.NEW


def test_a_document_leaves_written_entries_of_its_source_alone(organization: Organization) -> None:
    written = factories.entry(organization, content="Mine.", source="docs/tasks.md")

    assert take_in(organization, "A lease.") is Ingested.NEW

    written.refresh_from_db()
    assert written.content == "Mine."


def test_two_organizations_ingest_one_source(organization: Organization) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    take_in(organization, "A lease.")

    assert take_in(other, "A lease.") is Ingested.NEW
    assert selectors.list_entries(organization_id=other.pk).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_document_that_two_ingest_at_once_is_taken_once(organization: Organization) -> None:
    together = Barrier(4)

    def take_in_together(_: int) -> Ingested:
        together.wait()
        try:
            return take_in(organization, "A lease.")
        finally:
            connection.close()

    with Pool(4) as pool:
        outcomes = sorted(pool.map(take_in_together, range(4)))

    assert outcomes == [Ingested.NEW] + [Ingested.UNCHANGED] * 3
    assert KnowledgeEntry.objects.count() == 1


def test_pruning_removes_what_the_folder_no_longer_holds(organization: Organization) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    for source in ("docs/a.md", "docs/b.md", "docs_old/c.md", "d.md"):
        take_in(organization, "A lease.", source)
    take_in(other, "A lease.", "docs/a.md")
    factories.entry(organization, source="docs/written-by-hand.md")

    removed = ingest.prune_documents(
        organization_id=organization.pk, folder="docs", keep=["docs/b.md"], actor=SYSTEM, now=LATER
    )

    assert removed == 1
    gone = KnowledgeEntry.objects.exclude(deleted_at=None)
    assert [(e.organization_id, e.source) for e in gone] == [(organization.pk, "docs/a.md")]
