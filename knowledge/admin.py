"""Console pages of knowledge."""

from typing import ClassVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from kernel import clock, display
from kernel.admin import ConsoleAdmin, ConsoleInline, confirmed
from kernel.admin_columns import column, exact_time, recent_values, time_column
from knowledge import selectors
from knowledge.models import KnowledgeChunk, KnowledgeEntry
from knowledge.operations import entries


class ChunkInline(ConsoleInline):
    """The passages of an entry."""

    model = KnowledgeChunk
    verbose_name_plural = "passages"
    fields = readonly_fields = (
        "ordinal",
        "heading",
        column("passage", lambda chunk: chunk.text, display.text_block),
    )
    ordering = ("ordinal",)
    per_page = 50
    hide_title = True


@admin.register(KnowledgeEntry)
class KnowledgeEntryAdmin(ConsoleAdmin):
    """Living entries of the viewer's organization."""

    view_permission = "knowledge.read"
    audited_as = ("knowledge", "title")
    edit_permission = "knowledge.edit"
    page_title = "Knowledge"
    api_path = "/api/v1/knowledge"
    list_display: ClassVar = (
        "title",
        "category",
        "source",
        time_column("created_at", "created"),
        "short_id",
    )
    list_filter: ClassVar = (recent_values("category"), "created_at")
    search_fields: ClassVar = ("title",)
    search_help_text = "Words of a passage, or a part of the title or content"
    actions: ClassVar = ["delete_entries"]
    actions_detail: ClassVar = ["delete_entry"]
    inlines: ClassVar = [ChunkInline]
    fields: ClassVar = (
        "title",
        "category",
        column("tags", lambda entry: entry.tags, display.words),
        "source",
        exact_time("created_at"),
        "whole_id",
        "api_link",
        column("content", lambda entry: entry.content, display.text_box),
    )

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

    @admin.action(description="Delete selected entries", permissions=["edit"])
    def delete_entries(self, request: HttpRequest, queryset: QuerySet[KnowledgeEntry]) -> None:
        """Remove the entries from lists and searches."""
        for entry in queryset:
            self._delete(request, entry)

    @confirmed("Delete entry", "The entry leaves lists and searches; its passages are deleted.")
    def delete_entry(self, request: HttpRequest, entry: KnowledgeEntry) -> None:
        """Remove the entry from lists and searches."""
        self._delete(request, entry)

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the list: the entry that had a page is gone."""
        return self.back_to_list(request)

    def _delete(self, request: HttpRequest, entry: KnowledgeEntry) -> None:
        actor = self.actor(request)
        self.attempt(request, entries.delete_entry, entry=entry, actor=actor, now=clock.now())


def _viewer(request: HttpRequest) -> User:
    return cast(User, request.user)  # The console lets nobody else in.
