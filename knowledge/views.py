"""Routes of `/api/v1/knowledge`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.http.viewsets import HubViewSet
from knowledge import selectors
from knowledge.filters import EntryFilter
from knowledge.models import KnowledgeEntry
from knowledge.operations import entries
from knowledge.serializers import EntryInput, EntryItemOutput, EntryOutput


class KnowledgeViewSet(HubViewSet):
    """What the organization knows."""

    noun = "knowledge"
    queryset = KnowledgeEntry.objects.none()
    http_method_names = ["get", "post", "delete"]
    permissions: ClassVar = {
        "list": "knowledge.read",
        "create": "knowledge.edit",
        "retrieve": "knowledge.read",
        "destroy": "knowledge.edit",
    }
    filterset_class = EntryFilter

    def find_subject(self, subject_id: UUID) -> KnowledgeEntry:
        """One entry."""
        return selectors.get_entry(organization_id=self.organization_id, entry_id=subject_id)

    @extend_schema(responses={200: EntryItemOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Entries, newest first; with `search` the best first, each with its passages."""
        listed = selectors.list_entries(organization_id=self.organization_id)
        rows = self.paginate_queryset(self.filter_queryset(listed)) or []
        passages = selectors.find_passages(
            organization_id=self.organization_id,
            entry_ids=[row.pk for row in rows],
            query=request.query_params.get("search", ""),
        )
        items = EntryItemOutput(rows, many=True, context={"passages": passages})
        return self.get_paginated_response(items.data)

    @extend_schema(request=EntryInput, responses={201: EntryOutput})
    def create(self, request: Request) -> Response:
        """Write an entry."""
        entry = entries.create_entry(
            organization_id=self.organization_id,
            **self.read(EntryInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(EntryOutput(entry).data, status=201)

    @extend_schema(responses={200: EntryOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One entry with all of its content."""
        return Response(EntryOutput(self.subject).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove an entry from lists and searches."""
        entries.delete_entry(entry=self.subject, actor=self.actor, now=clock.now())
        return Response(status=204)
