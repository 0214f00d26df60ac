"""Adding the ledger up by day, so that sums over millions of rows stay cheap and exact.

Nobody who books a call touches a sum. A job adds what is behind the organization's mark to its
days, and moves the mark, in one statement. It goes up to a number below which nobody is still
booking: whoever books holds the organization's lock (`operations.windows`) from before the row gets
its number to the commit, so a moment alone with the lock shows all of them.
"""

from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from accounts.models import Organization
from cost.models import UsageMark, UsageRecord
from cost.operations.windows import ALONE, lock_keys

BATCH: Final = 20_000
_NEWEST: Final = """
SELECT coalesce(max(number), 0) FROM cost_usagerecord WHERE organization_id = %(organization_id)s
"""
_BEGIN: Final = """
INSERT INTO cost_usagemark (organization_id, number) VALUES (%(organization_id)s, 0)
ON CONFLICT DO NOTHING
"""
_ADD: Final = """
WITH mark AS (
  SELECT number FROM cost_usagemark WHERE organization_id = %(organization_id)s FOR UPDATE
),
due AS (
  SELECT * FROM cost_usagerecord
  WHERE organization_id = %(organization_id)s AND number > (SELECT number FROM mark)
    AND number <= %(newest)s
  ORDER BY number LIMIT %(batch)s
),
added AS (
  INSERT INTO cost_usageday AS stored (organization_id, day, agent_id, provider, calls,
    unpriced_calls, input_tokens, output_tokens, cost_usd)
  SELECT organization_id, (occurred_at AT TIME ZONE 'UTC')::date, agent_id, provider, count(*),
    count(*) FILTER (WHERE NOT is_priced), sum(input_tokens), sum(output_tokens), sum(cost_usd)
  FROM due GROUP BY 1, 2, 3, 4
  ON CONFLICT (organization_id, day, agent_id, provider) DO UPDATE
  SET calls = stored.calls + excluded.calls,
    unpriced_calls = stored.unpriced_calls + excluded.unpriced_calls,
    input_tokens = stored.input_tokens + excluded.input_tokens,
    output_tokens = stored.output_tokens + excluded.output_tokens,
    cost_usd = stored.cost_usd + excluded.cost_usd
),
moved AS (
  UPDATE cost_usagemark SET number = (SELECT max(number) FROM due)
  WHERE organization_id = %(organization_id)s AND EXISTS (SELECT FROM due)
)
SELECT count(*) FROM due
"""


def roll_usage() -> int:
    """Add up what every organization booked since the last time; how many calls."""
    rows = UsageRecord.objects.filter(organization_id=OuterRef("pk")).order_by("-number")
    mark = UsageMark.objects.filter(organization_id=OuterRef("pk")).values("number")
    waiting = Organization.objects.annotate(newest=Subquery(rows.values("number")[:1])).filter(
        newest__gt=Coalesce(Subquery(mark), Value(0))
    )
    return sum(_roll(organization_id) for organization_id in waiting.values_list("pk", flat=True))


def _roll(organization_id: UUID) -> int:
    newest, rolled = _find_newest(organization_id), 0
    while True:
        count = _add(organization_id, newest)
        rolled += count
        if count < BATCH:
            return rolled


@transaction.atomic
def _find_newest(organization_id: UUID) -> int:
    """The highest number, at a moment when nobody is booking."""
    with connection.cursor() as cursor:
        cursor.execute(ALONE, lock_keys(organization_id))
        cursor.execute(_NEWEST, {"organization_id": organization_id})
        (newest,) = cursor.fetchone()
    return int(newest)


@transaction.atomic
def _add(organization_id: UUID, newest: int) -> int:
    asked: dict[str, Any] = {
        "organization_id": organization_id,
        "newest": newest,
        "batch": BATCH,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, asked)
        cursor.execute(_ADD, asked)
        (count,) = cursor.fetchone()
    return int(count)
