"""Questions about tools and their sources."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from tools.errors import SourceNotFound, ToolNotFound
from tools.models import CatalogTool, ToolSource


def list_sources(*, organization_id: UUID) -> QuerySet[ToolSource]:
    """The organization's sources by name, without the texts of their documents."""
    rows = ToolSource.objects.filter(organization_id=organization_id)
    return rows.defer("document").order_by("name", "pk")


def get_source(*, organization_id: UUID, source_id: UUID) -> ToolSource:
    """One source; raises SourceNotFound."""
    source = ToolSource.objects.filter(organization_id=organization_id, pk=source_id).first()
    if source is None:
        raise SourceNotFound
    return source


def list_tools(*, organization_id: UUID) -> QuerySet[CatalogTool]:
    """The tools of the organization's catalogue by name."""
    rows = CatalogTool.objects.filter(organization_id=organization_id, removed_at=None)
    rows = rows.select_related("source").defer("source__document")
    return rows.order_by("tool_name", "pk")


def get_tool(*, organization_id: UUID, tool_id: UUID) -> CatalogTool:
    """One tool; raises ToolNotFound."""
    tool = list_tools(organization_id=organization_id).filter(pk=tool_id).first()
    if tool is None:
        raise ToolNotFound
    return tool


def names_rule(organization_id: UUID, rule_id: UUID) -> bool:
    """Whether a tool's policy names the approval rule; a hook of `approvals.operations.rules`."""
    rows = CatalogTool.objects.filter(organization_id=organization_id, approval_rule_id=rule_id)
    return rows.exists()


def find_names(*, organization_id: UUID, names: Collection[str]) -> frozenset[str]:
    """Those of `names` that are in the organization's catalogue."""
    rows = list_tools(organization_id=organization_id).filter(tool_name__in=names)
    return frozenset(rows.order_by().values_list("tool_name", flat=True))
