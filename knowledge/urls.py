"""Routes of knowledge."""

from kernel.http.routers import HubRouter
from knowledge.views import KnowledgeViewSet

router = HubRouter()
router.register("knowledge", KnowledgeViewSet, basename="knowledge")
urlpatterns = router.urls
