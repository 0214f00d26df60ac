"""Routes of approvals."""

from approvals.views import ApprovalViewSet, RuleViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("approvals", ApprovalViewSet, basename="approval")
router.register("approval-rules", RuleViewSet, basename="approval_rule")
urlpatterns = router.urls
