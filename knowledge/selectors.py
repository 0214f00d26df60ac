"""Questions about knowledge: entries, and the passages that answer a query."""

import html
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib.postgres.search import (
    SearchHeadline,
    SearchQuery,
    SearchQueryCombinable,
    SearchRank,
)
from django.db.models import F, Func, OuterRef, Q, QuerySet, Subquery, Value, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import Left, RowNumber

from kernel.errors import NotFound
from knowledge.models import KnowledgeChunk, KnowledgeEntry

EXCERPT_CHARACTERS: Final = 500
QUERY_CHARACTERS: Final = 1000
QUERY_WORDS: Final = 32
MAX_PASSAGES: Final = 50
PASSAGES_PER_ENTRY: Final = 3
# Divides a rank by itself plus one, so that it lies in [0, 1).
BOUNDED_RANK: Final = 32
# Control characters stand for the marks until the text around them is escaped.
MARK_START: Final = "\x02"
MARK_STOP: Final = "\x03"
CONTEXT_CHARACTERS: Final = 120
WITHOUT: Final = re.compile(r"(?:^|\s)-\S")
WORD: Final = re.compile(r"\w+(?:[-._/]\w+)*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that matches a query.

    `highlighted` is HTML: an escaped extract with `<mark>` around the words found. `rank` is
    between 1 and 2 when all words of the query were found, and below 1 otherwise.
    """

    entry_id: UUID
    chunk_id: UUID
    ordinal: int
    title: str
    source: str
    heading: str
    text: str
    highlighted: str
    rank: float

    @property
    def place(self) -> str:
        """Title and headings in one line, as a citation names it: `Concepts > Lease`."""
        if self.heading == self.title or self.heading.startswith(f"{self.title} > "):
            return self.heading
        return f"{self.title} > {self.heading}" if self.heading else self.title

    def as_result(self) -> dict[str, Any]:
        """The passage for a model, JSON-able."""
        return {
            "title": self.place,
            "source": self.source,
            "entry_id": str(self.entry_id),
            "text": self.text,
        }


def list_entries(*, organization_id: UUID) -> QuerySet[KnowledgeEntry]:
    """Living entries, newest first: `excerpt` has the start of the content, which is not loaded."""
    return (
        KnowledgeEntry.objects.filter(organization_id=organization_id, deleted_at=None)
        .defer("content")
        .annotate(excerpt=Left("content", EXCERPT_CHARACTERS))
        .order_by("-created_at", "-pk")
    )


def get_entry(*, organization_id: UUID, entry_id: UUID) -> KnowledgeEntry:
    """One living entry with its content; raises NotFound."""
    entry = KnowledgeEntry.objects.filter(
        organization_id=organization_id, pk=entry_id, deleted_at=None
    ).first()
    if entry is None:
        raise NotFound
    return entry


def match_entries(
    entries: QuerySet[KnowledgeEntry], *, organization_id: UUID, query: str
) -> QuerySet[KnowledgeEntry]:
    """Those of `entries` that match, best first.

    An entry matches when one of its passages has all words of `query`, or when title or content
    hold `query` as it is written (contract 003 B11); the former come before the latter.
    """
    query = _clean(query)
    wanted = _all_words(query)
    chunks = KnowledgeChunk.objects.filter(organization_id=organization_id, search=wanted)
    ranked = chunks.filter(entry=OuterRef("pk")).annotate(rank=_full_rank(wanted))
    best = Subquery(ranked.order_by("-rank").values("rank")[:1])
    return entries.filter(
        Q(pk__in=chunks.values("entry")) | Q(title__icontains=query) | Q(content__icontains=query)
    ).order_by(best.desc(nulls_last=True), "-pk")


def find_passages(
    *, organization_id: UUID, entry_ids: Collection[UUID], query: str
) -> dict[UUID, list[Passage]]:
    """The best few passages of each of the entries; three queries for all of them.

    An entry that holds `query` only as a part of words gives the first such passage. A blank
    query has none.
    """
    query = _clean(query)
    if not query:
        return {}
    wanted = _all_words(query)
    rows = KnowledgeChunk.objects.filter(organization_id=organization_id, entry_id__in=entry_ids)
    place = Window(RowNumber(), partition_by="entry_id", order_by=[F("rank").desc(), "ordinal"])
    best = rows.filter(search=wanted).annotate(rank=_full_rank(wanted), place=place)
    # The extracts are cut in a query of their own: beside a window each match would be cut.
    chosen = list(best.filter(place__lte=PASSAGES_PER_ENTRY).values_list("pk", flat=True))
    found = _passages(rows.filter(pk__in=chosen), rank=_full_rank(wanted), marks=wanted)
    left = set(entry_ids) - {passage.entry_id for passage in found}
    grouped: dict[UUID, list[Passage]] = defaultdict(list)
    for passage in [*found, *_substring_passages(rows.filter(entry_id__in=left), query)]:
        grouped[passage.entry_id].append(passage)
    return grouped


def search(
    *, organization_id: UUID, query: str, limit: int = 5, category: str | None = None
) -> list[Passage]:
    """The passages that answer `query` best, at most `limit` (and never more than 50).

    Passages with all words come first, by how often and how close together they stand; when they
    are too few, passages with any of the words follow, by how many they have. `query` may use
    web syntax: "a phrase", or, -without.
    """
    query = _clean(query)
    limit = min(limit, MAX_PASSAGES)
    rows = KnowledgeChunk.objects.filter(organization_id=organization_id)
    if category is not None:
        rows = rows.filter(entry__category=category)
    wanted = _all_words(query)
    found = _passages(
        rows.filter(search=wanted), rank=_full_rank(wanted), marks=wanted, limit=limit
    )
    widened = _any_word(query)
    if len(found) < limit and widened is not None:
        others = rows.filter(search=widened).exclude(pk__in=[p.chunk_id for p in found])
        rank = SearchRank(F("search"), widened, normalization=BOUNDED_RANK)
        found += _passages(others, rank=rank, marks=widened, limit=limit - len(found))
    return found


def _clean(query: str) -> str:
    """`query` as PostgreSQL takes it: bounded, no NUL, no lone surrogate."""
    bounded = query[:QUERY_CHARACTERS].replace("\x00", " ")
    return bounded.encode(errors="replace").decode().strip()


def _all_words(query: str) -> SearchQueryCombinable:
    """All words of `query`, stemmed; or all of them as written, for names that stemming drops."""
    return SearchQuery(query, config="english", search_type="websearch") | SearchQuery(
        query, config="simple", search_type="websearch"
    )


def _any_word(query: str) -> SearchQuery | None:
    """Any word of `query`, stop words aside; None if there is none, or one that must be absent."""
    if WITHOUT.search(query):
        return None
    words = list(dict.fromkeys(WORD.findall(query)))[:QUERY_WORDS]
    if not words:
        return None
    quoted = " or ".join(f'"{word}"' for word in words)
    return SearchQuery(quoted, config="english", search_type="websearch")


def _full_rank(wanted: SearchQueryCombinable) -> Combinable:
    return SearchRank(F("search"), wanted, cover_density=True, normalization=BOUNDED_RANK) + Value(
        1.0
    )


def _passages(
    chunks: QuerySet[KnowledgeChunk],
    *,
    rank: Combinable,
    marks: SearchQueryCombinable,
    limit: int | None = None,
) -> list[Passage]:
    extract = SearchHeadline(
        Func(F("text"), Value(MARK_START + MARK_STOP), Value(""), function="translate"),
        marks,
        config="english",
        start_sel=MARK_START,
        stop_sel=MARK_STOP,
        max_words=40,
        min_words=15,
        max_fragments=2,
        fragment_delimiter=" … ",
    )
    rows = (
        chunks.select_related("entry")
        .only("ordinal", "title", "heading", "text", "entry__source")
        .annotate(rank=rank, extract=extract)
        .order_by("-rank", "pk")[:limit]
    )
    return [_passage(row, rank=row.rank, extract=row.extract) for row in rows]


def _substring_passages(chunks: QuerySet[KnowledgeChunk], query: str) -> list[Passage]:
    first = (
        chunks.filter(text__icontains=query)
        .select_related("entry")
        .only("ordinal", "title", "heading", "text", "entry__source")
        .order_by("entry_id", "ordinal")
        .distinct("entry_id")
    )
    return [_passage(row, rank=0.0, extract=_mark(row.text, query)) for row in first]


def _mark(text: str, query: str) -> str:
    """The surroundings of the first place where `text` holds `query`, the place marked."""
    text = text.translate({ord(MARK_START): None, ord(MARK_STOP): None})
    hit = re.search(re.escape(query), text, re.IGNORECASE)
    if hit is None:
        return text[: 2 * CONTEXT_CHARACTERS]
    before = text[max(0, hit.start() - CONTEXT_CHARACTERS) : hit.start()]
    after = text[hit.end() : hit.end() + CONTEXT_CHARACTERS]
    return f"{before}{MARK_START}{hit.group()}{MARK_STOP}{after}"


def _passage(chunk: KnowledgeChunk, *, rank: float, extract: str) -> Passage:
    escaped = html.escape(extract)
    return Passage(
        entry_id=chunk.entry_id,
        chunk_id=chunk.pk,
        ordinal=chunk.ordinal,
        title=chunk.title,
        source=chunk.entry.source,
        heading=chunk.heading,
        text=chunk.text,
        highlighted=escaped.replace(MARK_START, "<mark>").replace(MARK_STOP, "</mark>"),
        rank=rank,
    )
