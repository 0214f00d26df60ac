"""Routes of circuit breakers."""

from breakers.views import BreakerViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("circuit-breakers", BreakerViewSet, basename="circuit_breaker")
urlpatterns = router.urls
