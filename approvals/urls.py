"""Routes of approvals."""

from kernel.http.routers import HubRouter

router = HubRouter()
urlpatterns = router.urls
