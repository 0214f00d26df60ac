"""Routes of dead letters."""

from dead_letters.views import DeadLetterViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("dead-letter", DeadLetterViewSet, basename="dead_letter")
urlpatterns = router.urls
