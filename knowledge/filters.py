"""Query parameters of knowledge."""

from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework.request import Request

from kernel.actors import Actor
from knowledge import selectors
from knowledge.models import KnowledgeEntry


class EntryFilter(filters.FilterSet):
    """`category` and `tag` as they are; `search` in title and content, best first."""

    category = filters.CharFilter(max_length=64)
    tag = filters.CharFilter(max_length=64, method="having_tag")
    search = filters.CharFilter(
        max_length=500, method="matching", help_text="Words, or a part of title or content."
    )

    def having_tag(
        self, rows: QuerySet[KnowledgeEntry], name: str, value: str
    ) -> QuerySet[KnowledgeEntry]:
        """Entries that carry the tag."""
        return rows.filter(tags__contains=[value])

    def matching(
        self, rows: QuerySet[KnowledgeEntry], name: str, value: str
    ) -> QuerySet[KnowledgeEntry]:
        """Entries that match the query."""
        caller = cast(Actor, cast(Request, self.request).auth)
        organization_id = cast(UUID, caller.organization_id)  # The view has made sure of it.
        return selectors.match_entries(rows, organization_id=organization_id, query=value)
