"""Routes of dead_letters."""

from kernel.http.routers import HubRouter

router = HubRouter()
urlpatterns = router.urls
