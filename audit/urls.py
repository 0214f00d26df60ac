"""Routes of audit."""

from audit.views import AdminAuditViewSet, AuditEventViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("audit-events", AuditEventViewSet, basename="audit-event")
router.register("admin/audit", AdminAuditViewSet, basename="admin-audit")
urlpatterns = router.urls
