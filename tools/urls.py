"""Routes of tools."""

from django.urls import re_path

from kernel.http.routers import HubRouter
from tools.views import ToolCatalogViewSet, ToolSourceViewSet, ToolViewSet

router = HubRouter()
router.register("tools", ToolViewSet, basename="tool")
router.register("tool-sources", ToolSourceViewSet, basename="tool_source")
urlpatterns = router.urls
# At the root, not under `/api/v1`: seed 004's.
root_urlpatterns = [
    re_path(r"^v1/toolcatalog/?$", ToolCatalogViewSet.as_view({"get": "list"})),
    re_path(
        r"^v1/toolcatalogentry/(?P<sys_toolCatalogId>[^/]+)/?$",
        ToolCatalogViewSet.as_view({"get": "retrieve"}, detail=True),
    ),
]
