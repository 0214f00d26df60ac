"""Routes of secrets_vault."""

from kernel.http.routers import HubRouter

router = HubRouter()
urlpatterns = router.urls
