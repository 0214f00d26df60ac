"""Routes of `/api/v1/tools` and `/api/v1/tool-sources`, and seed 004's tool catalogue."""

from typing import Any, ClassVar, Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.http.agenthub import AgentHubViewSet, envelope, envelope_page
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT
from tools import selectors
from tools.errors import (
    SourceDisabled,
    SourceFailed,
    SourceNameTaken,
    SourceNotFound,
    SourceRefuses,
    ToolNotFound,
)
from tools.filters import CatalogFilter, ToolFilter
from tools.models import CatalogTool, ToolSource
from tools.operations import policies, refreshing, sources
from tools.serializers.agenthub import CatalogEntryOutput
from tools.serializers.catalogue import (
    PolicyInput,
    SourceChange,
    SourceInput,
    SourceOutput,
    TestOutput,
    ToolOutput,
)

READ: Final = "tool.read"
DATA_NAME: Final = "sys_toolCatalog"


class ToolViewSet(HubViewSet):
    """What agents can be given."""

    noun = "tool"
    queryset = CatalogTool.objects.none()
    http_method_names = ["get", "patch"]
    permissions: ClassVar = {"list": READ, "retrieve": READ, "partial_update": EDIT}
    filterset_class = ToolFilter
    missing = ToolNotFound

    def find_subject(self, subject_id: UUID) -> CatalogTool:
        """One tool."""
        return selectors.get_tool(organization_id=self.organization_id, tool_id=subject_id)

    @extend_schema(responses={200: ToolOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Tools by name."""
        return self.page(selectors.list_tools(organization_id=self.organization_id), ToolOutput)

    @extend_schema(responses={200: ToolOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One tool."""
        return Response(ToolOutput(self.subject).data)

    @extend_schema(request=PolicyInput, responses={200: ToolOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the policy of a tool."""
        tool = policies.set_policy(
            organization_id=self.organization_id,
            tool_id=self.subject.pk,
            values=self.read(PolicyInput, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(ToolOutput(tool).data)


class ToolSourceViewSet(HubViewSet):
    """Where tools come from."""

    noun = "tool_source"
    queryset = ToolSource.objects.none()
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": EDIT,
        "create": EDIT,
        "retrieve": EDIT,
        "partial_update": EDIT,
        "destroy": EDIT,
        "refresh": EDIT,
        "test": EDIT,
    }
    missing = SourceNotFound
    refusals: ClassVar = {
        "create": (SourceNameTaken,),
        "refresh": (SourceDisabled,),
        "test": (SourceFailed, SourceRefuses),
    }

    def find_subject(self, subject_id: UUID) -> ToolSource:
        """One source."""
        return selectors.get_source(organization_id=self.organization_id, source_id=subject_id)

    @extend_schema(responses={200: SourceOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Sources by name."""
        rows = selectors.list_sources(organization_id=self.organization_id)
        return self.page(rows, SourceOutput)

    @extend_schema(request=SourceInput, responses={201: SourceOutput})
    def create(self, request: Request) -> Response:
        """Add a source; it is asked for its tools at once."""
        source = sources.create_source(
            organization_id=self.organization_id,
            values=self.read(SourceInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(SourceOutput(source).data, status=201)

    @extend_schema(responses={200: SourceOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One source."""
        return Response(SourceOutput(self.subject).data)

    @extend_schema(request=SourceChange, responses={200: SourceOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a source; name and kind stay."""
        source = sources.update_source(
            values=self.read(SourceChange, partial=True), **self._whose()
        )
        return Response(SourceOutput(source).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a source with its tools."""
        sources.delete_source(**self._whose())
        return Response(status=204)

    @extend_schema(request=None, responses={202: SourceOutput})
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str) -> Response:
        """Have a worker ask it for its tools now."""
        return Response(SourceOutput(sources.ask_again(**self._whose())).data, status=202)

    @extend_schema(request=None, responses={200: TestOutput})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Ask it for its tools and write nothing."""
        return Response(TestOutput(refreshing.test_source(**self._whose())).data)

    def _whose(self) -> dict[str, Any]:
        return {
            "organization_id": self.organization_id,
            "source_id": self.subject.pk,
            "actor": self.actor,
            "now": clock.now(),
        }


class ToolCatalogViewSet(AgentHubViewSet):
    """The catalogue of seed 004 (contract 004 C3)."""

    noun = "tool_catalog"
    data_name = DATA_NAME
    lookup_url_kwarg = "sys_toolCatalogId"
    queryset = CatalogTool.objects.none()
    filterset_class = CatalogFilter
    http_method_names = ["get"]
    permissions: ClassVar = {"list": READ, "retrieve": READ}
    apis: ClassVar = {"list": "listToolCatalog", "retrieve": "getToolCatalogEntry"}
    missing = ToolNotFound

    def find_subject(self, subject_id: UUID) -> CatalogTool:
        """One tool."""
        return selectors.get_tool(organization_id=self.organization_id, tool_id=subject_id)

    @extend_schema(responses={200: envelope_page(DATA_NAME, CatalogEntryOutput)})
    def list(self, request: Request) -> Response:
        """Tools by name."""
        rows = selectors.list_tools(organization_id=self.organization_id)
        return self.page(rows, CatalogEntryOutput)

    @extend_schema(responses={200: envelope(DATA_NAME, CatalogEntryOutput)})
    def retrieve(self, request: Request, sys_toolCatalogId: str) -> Response:  # noqa: N803 - seed 004's name
        """One tool."""
        return self.answer(CatalogEntryOutput(self.subject).data)
