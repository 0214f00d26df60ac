"""Console pages of knowledge."""

from typing import ClassVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import selectors as accounts
from accounts.models import User
from kernel import clock
from kernel.admin import ConsoleAdmin, ConsoleInline
from knowledge import selectors
from knowledge.models import KnowledgeChunk, KnowledgeEntry
from knowledge.operations import entries


class ChunkInline(ConsoleInline):
    """The passages of an entry."""

    model = KnowledgeChunk
    fields = readonly_fields = ("ordinal", "heading", "text")
    ordering = ("ordinal",)
    per_page = 50


@admin.register(KnowledgeEntry)
class KnowledgeEntryAdmin(ConsoleAdmin):
    """Living entries of the viewer's organization."""

    view_permission = "knowledge.read"
    edit_permission = "knowledge.edit"
    list_display: ClassVar = ("title", "category", "source", "created_at")
    list_filter: ClassVar = ("category",)
    search_fields: ClassVar = ("title",)
    search_help_text = "Words of a passage, or a part of the title or content."
    ordering: ClassVar = ("-created_at", "-pk")
    actions: ClassVar = ["delete_entries"]
    inlines: ClassVar = [ChunkInline]
    fields: ClassVar = ("title", "category", "tags", "source", "created_at", "content")
    readonly_fields: ClassVar = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeEntry]:
        """The organization's entries."""
        return selectors.list_entries(organization_id=_viewer(request).organization_id)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[KnowledgeEntry], search_term: str
    ) -> tuple[QuerySet[KnowledgeEntry], bool]:
        """The same search as the API's."""
        if not search_term.strip():
            return queryset, False
        matching = selectors.match_entries(
            queryset, organization_id=_viewer(request).organization_id, query=search_term
        )
        return matching, False

    def has_delete_entries_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered."""
        return accounts.may(user=_viewer(request), permission="knowledge.edit")

    @admin.action(description="Delete selected entries", permissions=["delete_entries"])
    def delete_entries(self, request: HttpRequest, queryset: QuerySet[KnowledgeEntry]) -> None:
        """Remove the entries from lists and searches."""
        actor = accounts.actor_of(user=_viewer(request), ip_address=request.META.get("REMOTE_ADDR"))
        for entry in queryset:
            self.attempt(request, entries.delete_entry, entry=entry, actor=actor, now=clock.now())


def _viewer(request: HttpRequest) -> User:
    return cast(User, request.user)  # The console lets nobody else in.
