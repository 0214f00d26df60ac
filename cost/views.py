"""Routes of `/api/v1/cost`, `/api/v1/budgets` and `/api/v1/prices`."""

from typing import Any, ClassVar, Final, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cost import choices
from cost.errors import BudgetExists, BudgetNotFound, BudgetOfVersion, PriceExists, PriceNotFound
from cost.filters import BudgetFilter
from cost.models import Budget, ModelPrice
from cost.operations import budgets as budget_operations
from cost.operations import own_prices
from cost.selectors import budgets, prices, reports, spending
from cost.serializers import (
    AgentSharesOutput,
    BudgetChange,
    BudgetInput,
    BudgetOutput,
    DailyOutput,
    MonthlyBudgetInput,
    MonthlyBudgetOutput,
    PriceChange,
    PriceInput,
    PriceOutput,
    ProviderSharesOutput,
    SummaryOutput,
)
from kernel import clock
from kernel.http.pagination import BoundedPagination, whole
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT

READ: Final = "cost.read"
DAYS: Final = [
    OpenApiParameter(
        "days",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": choices.MOST_DAYS,
            "default": reports.SUMMARY_DAYS,
        },
        description="Days of UTC, today included.",
    )
]


class CostViewSet(HubViewSet):
    """What was spent, and the organization's budget of the month."""

    noun = "cost"
    queryset = Budget.objects.none()
    pagination_class = None
    http_method_names = ["get", "put"]
    permissions: ClassVar = {
        "summary": READ,
        "daily": READ,
        "by_agent": READ,
        "by_provider": READ,
        "budget": READ,
        "set_budget": EDIT,
    }
    refusals: ClassVar = {"set_budget": (BudgetExists,)}

    @extend_schema(responses={200: SummaryOutput})
    @action(detail=False)
    def summary(self, request: Request) -> Response:
        """The last 30 days in figures."""
        found = reports.summary(organization_id=self.organization_id, now=clock.now())
        budget = budgets.show_monthly(organization_id=self.organization_id, now=clock.now())
        return Response(SummaryOutput({**found, "budget": budget}).data)

    @extend_schema(responses={200: DailyOutput}, parameters=DAYS)
    @action(detail=False)
    def daily(self, request: Request) -> Response:
        """Each day, oldest first."""
        days = self._days()
        found = reports.daily(organization_id=self.organization_id, days=days, now=clock.now())
        total = sum(day.sums.cost for day in found)
        return Response(DailyOutput({"items": found, "days": days, "total": total}).data)

    @extend_schema(responses={200: AgentSharesOutput}, parameters=DAYS)
    @action(detail=False, url_path="by-agent")
    def by_agent(self, request: Request) -> Response:
        """Spending by agent."""
        found = reports.by_agent(
            organization_id=self.organization_id, days=self._days(), now=clock.now()
        )
        return Response(AgentSharesOutput(found).data)

    @extend_schema(responses={200: ProviderSharesOutput}, parameters=DAYS)
    @action(detail=False, url_path="by-provider")
    def by_provider(self, request: Request) -> Response:
        """Spending by model provider."""
        found = reports.by_provider(
            organization_id=self.organization_id, days=self._days(), now=clock.now()
        )
        return Response(ProviderSharesOutput(found).data)

    @extend_schema(responses={200: MonthlyBudgetOutput})
    @action(detail=False)
    def budget(self, request: Request) -> Response:
        """The organization's budget of the month."""
        return self._monthly()

    @extend_schema(request=MonthlyBudgetInput, responses={200: MonthlyBudgetOutput})
    @budget.mapping.put
    def set_budget(self, request: Request) -> Response:
        """Replace it."""
        budget_operations.set_monthly_budget(
            organization_id=self.organization_id,
            **self.read(MonthlyBudgetInput),
            actor=self.actor,
            now=clock.now(),
        )
        return self._monthly()

    def _monthly(self) -> Response:
        found = budgets.show_monthly(organization_id=self.organization_id, now=clock.now())
        return Response(MonthlyBudgetOutput(found).data)

    def _days(self) -> int:
        return whole(
            self.request, "days", default=reports.SUMMARY_DAYS, low=1, high=choices.MOST_DAYS
        )


class BudgetViewSet(HubViewSet):
    """How much may be spent, by whom."""

    noun = "budget"
    queryset = Budget.objects.none()
    serializer_class = BudgetOutput
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": READ,
        "create": EDIT,
        "retrieve": READ,
        "partial_update": EDIT,
        "destroy": EDIT,
    }
    filterset_class = BudgetFilter
    missing = BudgetNotFound
    refusals: ClassVar = {
        "create": (BudgetExists,),
        "partial_update": (BudgetExists, BudgetOfVersion),
        "destroy": (BudgetOfVersion,),
    }

    def find_subject(self, subject_id: UUID) -> Budget:
        """One budget."""
        return budgets.get_budget(organization_id=self.organization_id, budget_id=subject_id)

    @extend_schema(responses={200: BudgetOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Budgets, newest first, those that were replaced among them."""
        rows = budgets.list_budgets(organization_id=self.organization_id)
        pages = cast("BoundedPagination", self.paginator)
        page = pages.paginate_queryset(self.filter_queryset(rows), request, self)
        return pages.get_paginated_response(self._shown(*page))

    @extend_schema(request=BudgetInput, responses={201: BudgetOutput})
    def create(self, request: Request) -> Response:
        """Make a budget."""
        budget = budget_operations.create_budget(
            organization_id=self.organization_id,
            **self.read(BudgetInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(self._shown(budget)[0], status=201)

    @extend_schema(responses={200: BudgetOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One budget."""
        return Response(self._shown(self.subject)[0])

    @extend_schema(request=BudgetChange, responses={200: BudgetOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change its limit, thresholds, or whether it refuses or counts at all."""
        budget = budget_operations.change_budget(
            organization_id=self.organization_id,
            budget_id=self.subject.pk,
            values=self.read(BudgetChange, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(self._shown(budget)[0])

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Let it count no more; it stays in the list, inactive."""
        budget_operations.remove_budget(
            organization_id=self.organization_id,
            budget_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)

    def _shown(self, *rows: Budget) -> Any:
        found = spending.stand(budgets=rows, organization_id=self.organization_id, now=clock.now())
        return BudgetOutput(found, many=True).data


class PriceViewSet(HubViewSet):
    """What models cost here, where the price list does not know or says otherwise."""

    noun = "price"
    queryset = ModelPrice.objects.none()
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": READ,
        "create": EDIT,
        "retrieve": READ,
        "partial_update": EDIT,
        "destroy": EDIT,
    }
    missing = PriceNotFound
    refusals: ClassVar = {"create": (PriceExists,)}

    def find_subject(self, subject_id: UUID) -> ModelPrice:
        """One price."""
        return prices.get_price(organization_id=self.organization_id, price_id=subject_id)

    @extend_schema(responses={200: PriceOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Prices by provider and model."""
        return self.page(prices.list_prices(organization_id=self.organization_id), PriceOutput)

    @extend_schema(request=PriceInput, responses={201: PriceOutput})
    def create(self, request: Request) -> Response:
        """Set a price."""
        price = own_prices.create_price(
            organization_id=self.organization_id,
            **self.read(PriceInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(PriceOutput(price).data, status=201)

    @extend_schema(responses={200: PriceOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One price."""
        return Response(PriceOutput(self.subject).data)

    @extend_schema(request=PriceChange, responses={200: PriceOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a price; calls that were booked keep their cost."""
        price = own_prices.change_price(
            organization_id=self.organization_id,
            price_id=self.subject.pk,
            values=self.read(PriceChange, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(PriceOutput(price).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a price; the price list counts again."""
        own_prices.delete_price(
            organization_id=self.organization_id,
            price_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)
