"""Routes of agents."""

from django.urls import re_path

from agents.views.agents import AgentViewSet
from agents.views.executions import (
    AgentExecutionViewSet,
    ExecutionViewSet,
    ToolOutputViewSet,
)
from agents.views.overrides import AgentOverrideViewSet, OverrideHistoryViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("agents", AgentViewSet, basename="agent")
router.register("executions", ExecutionViewSet, basename="execution")
router.register("tool-outputs", ToolOutputViewSet, basename="tool_output")
router.register("agent-overrides", OverrideHistoryViewSet, basename="override_history")
urlpatterns = router.urls
# At the root, not under `/api/v1`: seed 004's.
root_urlpatterns = [
    re_path(r"^v1/agentoverrides/?$", AgentOverrideViewSet.as_view({"get": "list"})),
    re_path(r"^v1/agentoverride/?$", AgentOverrideViewSet.as_view({"post": "create"})),
    re_path(
        r"^v1/agentoverride/(?P<sys_agentOverrideId>[^/]+)/?$",
        AgentOverrideViewSet.as_view(
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}, detail=True
        ),
        name="override-detail",
    ),
    re_path(r"^v1/agentexecutions/?$", AgentExecutionViewSet.as_view({"get": "list"})),
    re_path(
        r"^v1/agentexecution/(?P<sys_agentExecutionId>[^/]+)/?$",
        AgentExecutionViewSet.as_view({"get": "retrieve"}, detail=True),
    ),
]
