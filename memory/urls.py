"""Routes of memory."""

from kernel.http.routers import HubRouter
from memory.views import AgentMemoryViewSet, MemoryViewSet

router = HubRouter()
router.register("agents/memories", MemoryViewSet, basename="memory")
router.register("agents", AgentMemoryViewSet, basename="agent_memory")
urlpatterns = router.urls
