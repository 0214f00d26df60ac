"""Routes of tasks."""

from kernel.http.routers import HubRouter
from tasks.views import TaskViewSet

router = HubRouter()
router.register("tasks", TaskViewSet, basename="task")
urlpatterns = router.urls
