"""What was spent, exact at any moment: the ledger's days, and its rows that are not in them yet.

Both are read in one statement, hence in one state of the database: a row is in its day from the
moment on when the organization's mark has passed its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import connection

from cost.choices import BudgetScope
from cost.models import Budget
from cost.selectors import periods

MARK: Final = "cost_mark(%(organization_id)s::uuid)"
# What the subject of the row `asked (scope, subject_id, starts_at, ends_at)` spent in its time.
# Periods begin with days of UTC.
SPENT: Final = f"""
(SELECT coalesce(sum(part.cost_usd), 0) FROM (
  SELECT cost_usd FROM cost_usageday
  WHERE asked.scope IN ('organization', 'agent') AND organization_id = %(organization_id)s
    AND (asked.scope = 'organization' OR agent_id = asked.subject_id)
    AND day >= (asked.starts_at AT TIME ZONE 'UTC')::date
    AND day < (asked.ends_at AT TIME ZONE 'UTC')::date
  UNION ALL
  SELECT cost_usd FROM cost_usagerecord
  WHERE asked.scope IN ('organization', 'agent') AND organization_id = %(organization_id)s
    AND number > {MARK} AND (asked.scope = 'organization' OR agent_id = asked.subject_id)
    AND occurred_at >= asked.starts_at AND occurred_at < asked.ends_at
  UNION ALL
  SELECT cost_usd FROM cost_usagerecord
  WHERE asked.scope = 'task' AND organization_id = %(organization_id)s
    AND task_id = asked.subject_id
    AND occurred_at >= asked.starts_at AND occurred_at < asked.ends_at
  UNION ALL
  SELECT cost_usd FROM cost_usagerecord
  WHERE asked.scope = 'run' AND organization_id = %(organization_id)s
    AND execution_id = asked.subject_id
    AND occurred_at >= asked.starts_at AND occurred_at < asked.ends_at
) AS part)
"""  # noqa: S608 - made of constants
_STANDINGS: Final = f"""
SELECT asked.budget_id, stored.reserved_usd,
  CASE WHEN stored.id IS NULL THEN {SPENT} ELSE stored.spent_usd END
FROM unnest(
  %(budget_ids)s::uuid[], %(scopes)s::text[], %(subject_ids)s::uuid[],
  %(starts)s::timestamptz[], %(ends)s::timestamptz[]
) AS asked (budget_id, scope, subject_id, starts_at, ends_at)
LEFT JOIN cost_budgetwindow AS stored ON stored.organization_id = %(organization_id)s
  AND stored.subject_id = asked.subject_id AND stored.starts_at = asked.starts_at
  AND stored.budget_id = asked.budget_id
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget in its present period. A budget for each one of its kind has no sums of its own."""

    budget: Budget
    starts_at: datetime
    resets_at: datetime | None
    spent_usd: Decimal | None
    reserved_usd: Decimal | None

    @property
    def remaining_usd(self) -> Decimal | None:
        """What may still be spent; 0 beyond the limit, whatever is reserved."""
        if self.spent_usd is None:
            return None
        return max(Decimal(0), self.budget.limit_usd - self.spent_usd)

    @property
    def percent_used(self) -> float | None:
        """Spent in per cent of the limit; of a limit of 0, anything is 100."""
        return None if self.spent_usd is None else percent(self.spent_usd, self.budget.limit_usd)

    @property
    def is_over_budget(self) -> bool | None:
        """Whether the limit is reached and something was spent."""
        if self.spent_usd is None:
            return None
        return self.spent_usd > 0 and self.spent_usd >= self.budget.limit_usd


def percent(part: Decimal, whole: Decimal) -> float:
    """`part` of `whole` in per cent, to two places; of nothing, anything is 100."""
    if not whole:
        return 100.0 if part else 0.0
    return round(float(100 * part / whole), 2)


def stand(*, budgets: Sequence[Budget], organization_id: UUID, now: datetime) -> list[Standing]:
    """How the organization's budgets stand: one statement for all."""
    times = {b.pk: periods.bounds(period=b.period, now=now) for b in budgets}
    asked = [(b, subject) for b in budgets if (subject := _subject(b)) is not None]
    found: dict[UUID, tuple[Decimal | None, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _STANDINGS,
            {
                "organization_id": organization_id,
                "budget_ids": [budget.pk for budget, _ in asked],
                "scopes": [budget.scope for budget, _ in asked],
                "subject_ids": [subject for _, subject in asked],
                "starts": [times[budget.pk][0] for budget, _ in asked],
                "ends": [times[budget.pk][1] for budget, _ in asked],
            },
        )
        found = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    return [_standing(budget, times[budget.pk], found.get(budget.pk)) for budget in budgets]


def _subject(budget: Budget) -> UUID | None:
    if budget.scope == BudgetScope.ORGANIZATION:
        return budget.organization_id
    return budget.subject_id


def _standing(
    budget: Budget,
    times: tuple[datetime, datetime],
    found: tuple[Decimal | None, Decimal] | None,
) -> Standing:
    starts_at, resets_at = times[0], periods.reset_of(times[1])
    if found is None:
        return Standing(budget, starts_at, resets_at, None, None)
    reserved, spent = found
    return Standing(budget, starts_at, resets_at, spent, reserved or Decimal(0))
