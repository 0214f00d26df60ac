"""The ledger's rows, and sums over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum

from cost.choices import FREE
from cost.models import UsageRecord

_OF_RUNS: Final = """
SELECT execution_id, sum(cost_usd), bool_or(is_held) FROM (
  SELECT execution_id, cost_usd, false AS is_held FROM cost_usagerecord
  WHERE execution_id = ANY (%(execution_ids)s::uuid[])
  UNION ALL
  SELECT execution_id, amount_usd, true FROM cost_reservation
  WHERE execution_id = ANY (%(execution_ids)s::uuid[])
) AS part GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over ledger rows. With `unpriced_calls` above 0, `cost_usd` is a lower bound."""

    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    calls: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run spent; `is_held` if a call of it is under way, or was when its worker died. What
    is held for that one counts: it is the most that it can cost."""

    cost_usd: Decimal
    is_held: bool


def costs_of_runs(*, execution_ids: Sequence[UUID]) -> dict[UUID, RunCost]:
    """The cost of executions, of those that have any: one statement.

    Of any organization that the caller's scope lets it see: a worker closes the runs that ended
    meanwhile, of several organizations, in one transaction in the platform's.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OF_RUNS, {"execution_ids": list(execution_ids)})
        return {row[0]: RunCost(*row[1:]) for row in cursor.fetchall()}


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
