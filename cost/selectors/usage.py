"""The ledger's rows, and sums over them."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from cost.choices import FREE
from cost.models import UsageRecord


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over ledger rows. With `unpriced_calls` above 0, `cost_usd` is a lower bound."""

    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    calls: int
    unpriced_calls: int


def list_usage(*, organization_id: UUID) -> QuerySet[UsageRecord]:
    """An organization's ledger, newest first."""
    return UsageRecord.objects.filter(organization_id=organization_id).order_by(
        "-occurred_at", "-pk"
    )


def total(
    *,
    organization_id: UUID,
    task_id: UUID | None = None,
    agent_id: UUID | None = None,
    execution_id: UUID | None = None,
) -> Total:
    """Sums over the organization's rows that have each of the ids given."""
    asked = {"task_id": task_id, "agent_id": agent_id, "execution_id": execution_id}
    rows = UsageRecord.objects.filter(
        organization_id=organization_id, **{k: v for k, v in asked.items() if v is not None}
    )
    sums = rows.aggregate(
        cost_usd=Sum("cost_usd", default=FREE),
        input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        calls=Count("pk"),
        unpriced_calls=Count("pk", filter=Q(is_priced=False)),
    )
    return Total(**sums)
