"""Routes of projects."""

from kernel.http.routers import HubRouter
from projects.views import EnvironmentViewSet, ProjectViewSet

router = HubRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("environments", EnvironmentViewSet, basename="environment")
urlpatterns = router.urls
