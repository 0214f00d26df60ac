"""Wire shapes of the tool catalogue in seed 004's dialect (contract 004 C3)."""

from uuid import UUID

from rest_framework import serializers

from kernel.http.shapes import RowOutput
from tools.models import CatalogTool


class CatalogEntryOutput(RowOutput[CatalogTool]):
    """A tool in seed 004's words."""

    toolName = serializers.CharField(source="tool_name")
    serviceName = serializers.CharField(source="service_name")
    parameters = serializers.DictField()
    lastRefreshed = serializers.DateTimeField(source="last_refreshed_at")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")
    recordVersion = serializers.SerializerMethodField(
        help_text="The second of `updatedAt`, which each refresh moves too."
    )
    _owner = serializers.SerializerMethodField(help_text="Null: the hub's own.")
    isActive = serializers.SerializerMethodField()

    class Meta:
        model = CatalogTool
        fields = [
            "id",
            "toolName",
            "serviceName",
            "description",
            "parameters",
            "lastRefreshed",
            "recordVersion",
            "createdAt",
            "updatedAt",
            "_owner",
            "isActive",
        ]
        read_only_fields = fields

    def get_recordVersion(self, tool: CatalogTool) -> int:  # noqa: N802 - DRF's name for seed 004's
        """No count is kept: two changes within a second are one version."""
        return int(tool.updated_at.timestamp())

    def get__owner(self, tool: CatalogTool) -> UUID | None:
        """Sources are asked by nobody in particular."""
        return None

    def get_isActive(self, tool: CatalogTool) -> bool:  # noqa: N802 - the same
        """What is gone is not shown."""
        return True
