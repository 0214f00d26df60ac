"""Routes of direct runs."""

from django.urls import re_path

from kernel.http.routers import HubRouter
from runs.views import NamedAgentViewSet, NamedToolViewSet, RunViewSet

router = HubRouter()
router.register("agents", RunViewSet, basename="agent_run")
urlpatterns = router.urls
# At the root, not under `/api/v1`: seed 004's.
root_urlpatterns = [
    *(
        re_path(
            rf"^agents/(?P<agentName>[^/]+){path}/?$",
            NamedAgentViewSet.as_view({"post": name}, detail=True),
        )
        for path, name in (("", "run"), ("/stream", "stream"), ("/invalidate", "invalidate"))
    ),
    re_path(r"^tools/?$", NamedToolViewSet.as_view({"get": "list"})),
    re_path(r"^tools/refresh/?$", NamedToolViewSet.as_view({"post": "refresh"})),
]
