"""Wire shapes of the tool catalogue in seed 004's dialect (contract 004 C3)."""

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

    class Meta:
        model = CatalogTool
        fields = [
            "id",
            "toolName",
            "serviceName",
            "description",
            "parameters",
            "lastRefreshed",
            "createdAt",
            "updatedAt",
        ]
        read_only_fields = fields
