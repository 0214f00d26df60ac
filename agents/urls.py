"""Routes of agents."""

from agents.views import AgentViewSet, ExecutionViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("agents", AgentViewSet, basename="agent")
router.register("executions", ExecutionViewSet, basename="execution")
urlpatterns = router.urls
