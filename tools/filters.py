"""Query parameters of the tool catalogue."""

from django_filters import rest_framework as filters

from tools.models import CatalogTool


class ToolFilter(filters.FilterSet):
    """`?service_name=&source_id=&is_enabled=`."""

    service_name = filters.CharFilter(max_length=40)
    source_id = filters.UUIDFilter()
    is_enabled = filters.BooleanFilter()

    class Meta:
        model = CatalogTool
        fields: list[str] = []


class CatalogFilter(filters.FilterSet):
    """Seed 004's."""

    serviceName = filters.CharFilter(field_name="service_name", max_length=40)  # noqa: N815 - seed 004's name

    class Meta:
        model = CatalogTool
        fields: list[str] = []
