"""Finding passages: which, in what order, marked how, and whose."""

from typing import Any
from uuid import UUID

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Organization
from kernel.actors import SYSTEM
from kernel.errors import NotFound
from knowledge import selectors
from knowledge.models import KnowledgeEntry
from knowledge.operations import entries
from knowledge.selectors import Passage
from tests.knowledge import factories
from tests.knowledge.factories import NOW

LEASES = """# Tasks

A task is a row.

## Leases

Each attempt holds a lease. A worker renews its lease; when the worker crashes the lease lapses
and another worker resumes the task.

## Names

The operator Ingrid The Second calls `hub_refuse_change()` in migrations.
"""


def search(organization: Organization, query: str, **options: Any) -> list[Passage]:
    return selectors.search(organization_id=organization.pk, query=query, **options)


def matching(organization: Organization, query: str) -> list[str]:
    """Titles of the list with `?search=query`."""
    rows = selectors.list_entries(organization_id=organization.pk)
    found = selectors.match_entries(rows, organization_id=organization.pk, query=query)
    return [entry.title for entry in found]


@pytest.fixture
def leases(organization: Organization) -> KnowledgeEntry:
    """An entry of three passages."""
    return factories.entry(organization, title="Concepts", content=LEASES, source="docs/c.md")


def test_a_passage_says_where_it_stands(organization: Organization, leases: KnowledgeEntry) -> None:
    (passage,) = search(organization, "crashed workers")

    assert (passage.entry_id, passage.ordinal, passage.source) == (leases.pk, 1, "docs/c.md")
    assert (passage.title, passage.heading) == ("Concepts", "Tasks > Leases")
    assert passage.text.startswith("## Leases\n\nEach attempt")
    assert "when the <mark>worker</mark> <mark>crashes</mark> the lease" in passage.highlighted
    assert 1 < passage.rank < 2


def test_a_passage_is_plain_values_for_a_model(
    organization: Organization, leases: KnowledgeEntry
) -> None:
    (passage,) = search(organization, "crashed workers")

    assert passage.as_result() == {
        "title": "Concepts > Tasks > Leases",
        "source": "docs/c.md",
        "entry_id": str(leases.pk),
        "text": passage.text,
    }


@pytest.mark.parametrize(
    ("title", "content", "place"),
    [
        ("Note", "A lease.", "Note"),
        ("Note", "# Leases\n\nA lease.", "Note > Leases"),
        ("Leases", "# Leases\n\nA lease.", "Leases"),
        ("Leases", "# Leases\n\n## End\n\nA lease.", "Leases > End"),
    ],
)
def test_a_citation_names_title_and_headings_once(
    organization: Organization, title: str, content: str, place: str
) -> None:
    factories.entry(organization, title=title, content=content)

    assert [p.place for p in search(organization, "lease")] == [place]


@pytest.mark.parametrize(
    ("query", "ordinals"),
    [
        ("leasing", [1]),
        ("hub_refuse_change", [2]),
        ('"renews its lease"', [1]),
        ("ingrid the second", [2]),
        ("the", [2, 1]),
        ("row or migrations", [2, 0]),
        ("lease -crash", []),
    ],
)
def test_words_are_stemmed_and_names_are_found_as_written(
    organization: Organization, leases: KnowledgeEntry, query: str, ordinals: list[int]
) -> None:
    found = search(organization, query, limit=1 if len(ordinals) == 1 else 5)

    assert sorted(p.ordinal for p in found) == sorted(ordinals)


@pytest.mark.parametrize(
    "query", ["", "   ", "???", "\x00", "()&|!:*'\\", "unheard-of", "x" * 5000, "𐐀" * 1000]
)
def test_a_query_without_an_answer_gives_nothing(
    organization: Organization, leases: KnowledgeEntry, query: str
) -> None:
    assert search(organization, query) == []


def test_a_lone_surrogate_does_no_harm(organization: Organization, leases: KnowledgeEntry) -> None:
    assert [p.ordinal for p in search(organization, "crash \ud800", limit=1)] == [1]


def test_passages_with_all_words_come_before_those_with_some(organization: Organization) -> None:
    for title, content in [
        ("some", "lease " * 50),
        ("more", "The worker, far away from any other such thing, holds a lease and waits."),
        ("all", "A worker renews a lease before anything else."),
    ]:
        factories.entry(organization, title=title, content=content)

    found = search(organization, "worker renews lease")

    assert [p.title for p in found] == ["all", "more", "some"]
    assert [p.rank > 1 for p in found] == [True, False, False]


def test_the_search_is_not_widened_when_enough_was_found(organization: Organization) -> None:
    factories.entry(organization, title="all", content="A worker renews a lease.")
    factories.entry(organization, title="some", content="A worker.")

    assert [p.title for p in search(organization, "worker lease", limit=1)] == ["all"]


def test_a_title_counts_more_than_the_text(organization: Organization) -> None:
    factories.entry(organization, title="Other", content="About leases.")
    factories.entry(organization, title="Leases", content="About other things.")

    assert [p.title for p in search(organization, "lease")] == ["Leases", "Other"]


def test_equal_passages_keep_one_order(organization: Organization) -> None:
    written = [factories.entry(organization, content="A lease.").pk for _ in range(8)]

    found = [p.entry_id for p in search(organization, "lease", limit=8)]

    assert found == written


def test_the_limit_and_the_category_hold(organization: Organization) -> None:
    for number in range(60):
        category = "manual" if number % 2 else "general"
        factories.entry(organization, title=category, content="A lease.", category=category)

    assert len(search(organization, "lease", limit=1000)) == selectors.MAX_PASSAGES
    assert [p.title for p in search(organization, "lease", limit=2)] == ["general", "manual"]
    manual = search(organization, "lease", limit=2, category="manual")
    assert [p.title for p in manual] == ["manual", "manual"]


def test_markup_in_the_content_is_escaped(organization: Organization) -> None:
    factories.entry(
        organization,
        content='<script>alert("lease")</script> <img src=x onerror=lease()> \x02lease\x03 &lt;',
    )

    (passage,) = search(organization, "lease")

    plain = passage.highlighted.replace("<mark>lease</mark>", "lease")
    assert "<mark>lease</mark>" in passage.highlighted
    assert not {"<", ">", '"', "\x02", "\x03"} & set(plain)


def test_another_organization_finds_nothing(leases: KnowledgeEntry) -> None:
    other = Organization.objects.create(name="Other", slug="other")

    assert search(other, "lease") == []
    assert matching(other, "lease") == []
    assert not selectors.find_passages(
        organization_id=other.pk, entry_ids=[leases.pk], query="lease"
    )
    with pytest.raises(NotFound):
        selectors.get_entry(organization_id=other.pk, entry_id=leases.pk)


def test_a_deleted_entry_is_not_found(organization: Organization, leases: KnowledgeEntry) -> None:
    entries.delete_entry(entry=leases, actor=SYSTEM, now=NOW)

    assert search(organization, "lease") == []
    assert matching(organization, "lease") == []
    with pytest.raises(NotFound):
        selectors.get_entry(organization_id=organization.pk, entry_id=leases.pk)


def test_entries_match_by_words_or_by_any_part(organization: Organization) -> None:
    factories.entry(organization, title="part of the content", content="Multitasking.")
    factories.entry(organization, title="Multitask", content="part of the title")
    factories.entry(organization, title="word", content="A task.")
    factories.entry(organization, title="100%_sure", content="None.")

    assert matching(organization, "TASK") == ["word", "Multitask", "part of the content"]
    assert matching(organization, "%_") == ["100%_sure"]


def test_the_passages_of_an_entry_are_its_best(organization: Organization) -> None:
    body = "\n\n".join(f"## Part {n}\n\nA lease.{' More leases.' * n}" for n in range(5))
    entry = factories.entry(organization, content=body)

    found = selectors.find_passages(
        organization_id=organization.pk, entry_ids=[entry.pk], query="lease"
    )

    assert [p.heading for p in found[entry.pk]] == ["Part 4", "Part 3", "Part 2"]


def test_a_part_of_a_word_is_marked_where_it_stands(organization: Organization) -> None:
    entry = factories.entry(organization, content="<b>Multitasking</b>\n\nOther.")

    found = selectors.find_passages(
        organization_id=organization.pk, entry_ids=[entry.pk], query="TASK"
    )

    (passage,) = found[entry.pk]
    assert passage.highlighted.startswith("&lt;b&gt;Multi<mark>task</mark>ing&lt;/b&gt;")
    assert passage.rank == 0


@pytest.mark.parametrize("count", [1, 20])
def test_passages_of_any_number_of_entries_take_three_queries(
    organization: Organization,
    django_assert_num_queries: DjangoAssertNumQueries,
    count: int,
) -> None:
    ids: list[UUID] = []
    for number in range(count):
        ids.append(factories.entry(organization, content=f"A lease, number {number}.").pk)
        ids.append(factories.entry(organization, content="Subleased.").pk)

    with django_assert_num_queries(3):
        found = selectors.find_passages(
            organization_id=organization.pk, entry_ids=ids, query="lease"
        )

    assert set(found) == set(ids)


def test_a_search_takes_at_most_two_queries(
    organization: Organization,
    leases: KnowledgeEntry,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(2):
        search(organization, "lease worker unheard-of")
