"""Routes of limits."""

from kernel.http.routers import HubRouter
from limits.views import LimitViewSet

router = HubRouter()
router.register("limits", LimitViewSet, basename="limit")
urlpatterns = router.urls
