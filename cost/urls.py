"""Routes of cost."""

from cost.views import BudgetViewSet, CostViewSet, PriceViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("cost", CostViewSet, basename="cost")
router.register("budgets", BudgetViewSet, basename="budget")
router.register("prices", PriceViewSet, basename="price")
urlpatterns = router.urls
