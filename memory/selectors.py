"""Questions about what agents remember."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from django.db.models import Avg, Case, Count, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Length

from memory.choices import MemoryCategory
from memory.errors import MemoryNotFound
from memory.models import Memory

WORDS: Final = 16
# What a row takes beside its text, about: key columns, hash, indexes.
ROW_BYTES: Final = 400
_WORD: Final = re.compile(r"\w{2,}")


def list_memories(*, organization_id: UUID, agent_id: UUID) -> QuerySet[Memory]:
    """What an agent remembers: the most important first, of those the newest."""
    return Memory.objects.filter(organization_id=organization_id, agent_id=agent_id).order_by(
        "-importance", "-created_at", "-pk"
    )


def get_memory(*, organization_id: UUID, memory_id: UUID) -> Memory:
    """One memory of an agent that is there; raises MemoryNotFound."""
    memory = Memory.objects.filter(
        organization_id=organization_id, pk=memory_id, agent__deleted_at=None
    ).first()
    if memory is None:
        raise MemoryNotFound
    return memory


def recall(
    *, organization_id: UUID, agent_id: UUID, query: str, category: str = "", limit: int = 10
) -> Sequence[Memory]:
    """What fits `query` best: those with most of its words, of those the most important.

    Without words all fit. Parts of words count, so that "deploy" finds "deployment".
    """
    rows = list_memories(organization_id=organization_id, agent_id=agent_id)
    if category:
        rows = rows.filter(category=category)
    words = list(dict.fromkeys(_WORD.findall(query.lower().replace("\x00", " "))))[:WORDS]
    if words:
        rows = _having_any(rows, words)
    return list(rows[:limit])


def _having_any(rows: QuerySet[Memory], words: Sequence[str]) -> QuerySet[Memory]:
    any_of = Q()
    score: Combinable = Value(0, output_field=IntegerField())
    for word in words:
        found = Q(content__icontains=word)
        any_of |= found
        score += Case(When(found, then=Value(1)), default=Value(0), output_field=IntegerField())
    return (
        rows.filter(any_of)
        .annotate(score=score)
        .order_by("-score", "-importance", "-created_at", "-pk")
    )


def measure(*, organization_id: UUID, agent_id: UUID) -> Mapping[str, object]:
    """`{agent_id, total_count, categories, avg_importance, total_characters,
    estimated_storage_kb}` (contract 003 B18)."""
    rows = Memory.objects.filter(organization_id=organization_id, agent_id=agent_id).order_by()
    categories = dict.fromkeys(MemoryCategory.values, 0)
    for category, count in rows.values_list("category").annotate(count=Count("pk")):
        categories[category] += count
    sums = rows.aggregate(
        characters=Sum(Length("content"), default=0), importance=Avg("importance", default=0.0)
    )
    total = sum(categories.values())
    return {
        "agent_id": agent_id,
        "total_count": total,
        "categories": categories,
        "avg_importance": round(sums["importance"], 2),
        "total_characters": sums["characters"],
        "estimated_storage_kb": round((sums["characters"] + total * ROW_BYTES) / 1024, 2),
    }
