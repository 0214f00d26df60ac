"""Questions about budgets."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from cost.choices import DEFAULT_THRESHOLDS, BudgetPeriod, BudgetScope
from cost.errors import BudgetNotFound
from cost.models import Budget
from cost.selectors import periods, reports, spending


@dataclass(frozen=True, slots=True)
class MonthlyBudget:
    """The organization's budget of the month (contract 003 B14), and what was spent in it."""

    has_budget: bool
    monthly_limit: Decimal | None
    current_spend: Decimal
    reserved: Decimal
    remaining: Decimal | None
    percent_used: float | None
    alert_thresholds: list[int]
    is_over_budget: bool
    is_hard: bool
    month_start: datetime
    resets_at: datetime


def list_budgets(*, organization_id: UUID) -> QuerySet[Budget]:
    """The organization's budgets, newest first."""
    rows = Budget.objects.filter(organization_id=organization_id)
    return rows.order_by("-created_at", "-pk")


def get_budget(*, organization_id: UUID, budget_id: UUID) -> Budget:
    """One budget; raises BudgetNotFound."""
    found = Budget.objects.filter(organization_id=organization_id, pk=budget_id).first()
    if found is None:
        raise BudgetNotFound
    return found


def find_monthly(*, organization_id: UUID) -> Budget | None:
    """The organization's active budget of the month."""
    return Budget.objects.filter(
        organization_id=organization_id,
        scope=BudgetScope.ORGANIZATION,
        period=BudgetPeriod.MONTH,
        is_active=True,
    ).first()


def show_monthly(*, organization_id: UUID, now: datetime) -> MonthlyBudget:
    """The same as people see it; what was spent is told without a budget too."""
    starts_at, ends_at = periods.bounds(period=BudgetPeriod.MONTH, now=now)
    budget = find_monthly(organization_id=organization_id)
    if budget is None:
        spent = reports.total_since(organization_id=organization_id, since=starts_at)
        return MonthlyBudget(
            has_budget=False,
            monthly_limit=None,
            current_spend=spent,
            reserved=Decimal(0),
            remaining=None,
            percent_used=None,
            alert_thresholds=list(DEFAULT_THRESHOLDS),
            is_over_budget=False,
            is_hard=False,
            month_start=starts_at,
            resets_at=ends_at,
        )
    (stands,) = spending.stand(budgets=[budget], organization_id=organization_id, now=now)
    return MonthlyBudget(
        has_budget=True,
        monthly_limit=budget.limit_usd,
        current_spend=stands.spent_usd or Decimal(0),
        reserved=stands.reserved_usd or Decimal(0),
        remaining=stands.remaining_usd,
        percent_used=stands.percent_used,
        alert_thresholds=budget.alert_thresholds,
        is_over_budget=bool(stands.is_over_budget),
        is_hard=budget.is_hard,
        month_start=starts_at,
        resets_at=ends_at,
    )
