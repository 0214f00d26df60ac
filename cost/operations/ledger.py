"""Booking what was used: the ledger's row, what its budgets count, what was reserved for it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from cost.models import UsageRecord
from cost.operations import alerts, windows
from cost.operations.alerts import Counted
from cost.operations.windows import SHARED
from cost.selectors import prices
from cost.selectors.prices import OWN
from kernel import ids

# Two statements in one message: the second sees what was committed before it got the lock.
_BOOK: Final = f"""
{SHARED}
WITH {OWN},
gone AS (
  DELETE FROM cost_reservation
  WHERE execution_id = %(execution_id)s AND ordinal = %(ordinal)s
  RETURNING amount_usd, window_ids, created_at
),
cost AS (
  SELECT coalesce(
    (SELECT round((input_usd * %(input_tokens)s + output_usd * %(output_tokens)s) / 1000000, 8)
     FROM own),
    %(list_usd)s::numeric
  ) AS usd
),
booked AS (
  INSERT INTO cost_usagerecord (id, created_at, updated_at, organization_id, agent_id, task_id,
    execution_id, user_id, ordinal, provider, model, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, is_priced, price_source, occurred_at)
  SELECT %(id)s, %(now)s, %(now)s, %(organization_id)s, %(agent_id)s::uuid, %(task_id)s::uuid,
    %(execution_id)s::uuid, %(user_id)s::uuid, %(ordinal)s, %(provider)s, %(model)s,
    %(input_tokens)s, %(output_tokens)s, %(cache_read_tokens)s, %(cache_write_tokens)s,
    CASE WHEN %(is_measured)s THEN cost.usd
      ELSE greatest(cost.usd, (SELECT amount_usd FROM gone)) END,
    %(is_measured)s AND (%(is_listed)s OR EXISTS (SELECT FROM own)),
    CASE WHEN NOT %(is_measured)s THEN %(unmeasured)s WHEN EXISTS (SELECT FROM own) THEN %(own)s
      ELSE %(price_source)s END,
    coalesce((SELECT created_at FROM gone), %(now)s)
  FROM cost
  ON CONFLICT (execution_id, ordinal) DO NOTHING
  RETURNING cost_usd, is_priced, price_source, occurred_at
),
facts AS (
  SELECT coalesce(booked.cost_usd, 0) AS cost_usd, booked.occurred_at,
    coalesce(gone.amount_usd, 0) AS amount_usd, coalesce(gone.window_ids, '{{}}') AS window_ids
  FROM (VALUES (1)) AS one LEFT JOIN booked ON true LEFT JOIN gone ON true
),
touched AS (
  SELECT stored.id,
    CASE WHEN stored.id = ANY (facts.window_ids) THEN facts.amount_usd ELSE 0 END AS given_usd,
    CASE WHEN stored.subject_id = ANY (%(subject_ids)s::uuid[])
      AND stored.starts_at <= facts.occurred_at AND stored.ends_at > facts.occurred_at
      THEN facts.cost_usd ELSE 0 END AS spent_usd
  FROM facts JOIN cost_budgetwindow AS stored ON stored.organization_id = %(organization_id)s
    AND (stored.id = ANY (facts.window_ids) OR (facts.cost_usd > 0
      AND stored.subject_id = ANY (%(subject_ids)s::uuid[])
      AND stored.ends_at > facts.occurred_at AND stored.starts_at <= facts.occurred_at))
  ORDER BY stored.id FOR UPDATE OF stored
),
moved AS (
  UPDATE cost_budgetwindow AS stored
  SET reserved_usd = stored.reserved_usd - touched.given_usd,
    spent_usd = stored.spent_usd + touched.spent_usd, updated_at = %(now)s
  FROM touched WHERE stored.id = touched.id
  RETURNING stored.id, stored.budget_id, stored.scope, stored.subject_id, stored.starts_at,
    stored.spent_usd, stored.alerted_percent, stored.alerted_limit_usd
)
SELECT booked.cost_usd, booked.is_priced, booked.price_source, booked.occurred_at,
  (SELECT amount_usd FROM gone), moved.id, moved.budget_id, moved.scope, moved.subject_id,
  moved.starts_at, moved.spent_usd, moved.alerted_percent, moved.alerted_limit_usd,
  budget.limit_usd, budget.alert_thresholds, budget.is_hard
FROM (VALUES (1)) AS one LEFT JOIN booked ON true LEFT JOIN moved ON true
LEFT JOIN cost_budget AS budget ON budget.id = moved.budget_id AND budget.is_active
"""  # noqa: S608 - made of constants
OWN_SOURCE: Final = "organization"
# An answer came without figures: what was reserved counts, the most that it can have cost.
UNMEASURED_SOURCE: Final = "unmeasured"


@dataclass(frozen=True, slots=True)
class _Booked:
    """What the statement gave back; `row` is None for a call that was booked before."""

    row: tuple[Decimal, bool, str, datetime] | None
    reserved_usd: Decimal | None
    counted: list[Counted]


# Joins the caller's: a savepoint would be two more messages on the path of every call.
@transaction.atomic(savepoint=False)
def record_usage(
    *,
    organization_id: UUID,
    provider: str,
    model: str,
    usage: prices.TokenUsage,
    execution_id: UUID | None,
    ordinal: int,
    agent_id: UUID | None = None,
    task_id: UUID | None = None,
    user_id: UUID | None = None,
    now: datetime,
) -> UsageRecord:
    """Book one model call, in the caller's transaction: in one message to the database.

    `ordinal` numbers the calls of an execution. Booking the same call again changes nothing and
    gives the row that is there. What was reserved for it is given back, and the windows of its
    budgets count what it cost. The windows stay locked to the transaction's end: book late in it.
    """
    listed = prices.price(provider=provider, model=model, usage=usage, at=now)
    record = UsageRecord(
        id=ids.new(),
        created_at=now,
        updated_at=now,
        organization_id=organization_id,
        provider=provider,
        model=model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        execution_id=execution_id,
        ordinal=ordinal,
        agent_id=agent_id,
        task_id=task_id,
        user_id=user_id,
    )
    booked = _book(record, listed, is_measured=not usage.unmeasured_requests)
    if booked.row is None:
        return UsageRecord.objects.get(
            organization_id=organization_id, execution_id=execution_id, ordinal=ordinal
        )
    record.cost_usd, record.is_priced, record.price_source, record.occurred_at = booked.row
    record._state.adding, record._state.db = False, connection.alias
    alerts.tell(record=record, reserved_usd=booked.reserved_usd, counted=booked.counted, now=now)
    return record


def _book(record: UsageRecord, listed: prices.Price, *, is_measured: bool) -> _Booked:
    whose = (record.organization_id, record.agent_id, record.task_id, record.execution_id)
    asked: dict[str, Any] = {
        **windows.lock_keys(record.organization_id),
        "id": record.pk,
        "now": record.created_at,
        "organization_id": record.organization_id,
        "agent_id": record.agent_id,
        "task_id": record.task_id,
        "execution_id": record.execution_id,
        "user_id": record.user_id,
        "ordinal": record.ordinal,
        "provider": record.provider,
        "model": record.model,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cache_read_tokens": record.cache_read_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "subject_ids": [subject_id for subject_id in whose if subject_id],
        "list_usd": listed.cost_usd,
        "is_listed": listed.is_priced,
        "is_measured": is_measured,
        "price_source": listed.source,
        "own": OWN_SOURCE,
        "unmeasured": UNMEASURED_SOURCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BOOK, asked)
        cursor.nextset()  # past the lock
        rows = cursor.fetchall()
    row = rows[0][:4] if rows[0][0] is not None else None
    return _Booked(row, rows[0][4], [Counted(*found[5:]) for found in rows if found[5] is not None])
