"""Routes of memory."""

from kernel.http.routers import HubRouter

router = HubRouter()
urlpatterns = router.urls
