"""Windows: the counters of budgets, one for each period of each subject.

Three rules keep them exact. Whoever books a call holds the organization's lock, shared, to the
end of its transaction; whoever makes a window, or moves the ledger's mark, holds it alone: then no
call is between. Whoever changes windows locks them all in one statement, in the order of their
ids: nobody waits for each other. And whoever holds one locks no task, agent or budget after it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from cost.choices import BudgetPeriod
from cost.models import BudgetWindow
from cost.selectors import periods
from cost.selectors.spending import SPENT

LOCK_SPACE: Final = 0x434F  # "CO": cost's advisory locks
KEPT: Final = timedelta(days=8)
# Windows without an end, of tasks and runs that do nothing any more.
IDLE: Final = timedelta(days=30)
BATCH: Final = 500
ALONE: Final = "SELECT pg_advisory_xact_lock(%(lock_space)s, %(lock_key)s)"
SHARED: Final = "SELECT pg_advisory_xact_lock_shared(%(lock_space)s, %(lock_key)s);"
# The limits that a call has to keep, each with its period of now. The daily limit of the agent's
# version has no budget.
LIMITS: Final = """
subjects (scope, subject_id) AS (
  VALUES ('organization', %(organization_id)s::uuid), ('agent', %(agent_id)s::uuid),
    ('task', %(task_id)s::uuid), ('run', %(execution_id)s::uuid)
),
limits AS (
  SELECT budget.id AS budget_id, budget.scope, subjects.subject_id, budget.limit_usd,
    budget.is_hard,
    CASE budget.period WHEN 'day' THEN %(day_starts)s::timestamptz
      WHEN 'month' THEN %(month_starts)s::timestamptz ELSE %(total_starts)s::timestamptz
    END AS starts_at,
    CASE budget.period WHEN 'day' THEN %(day_ends)s::timestamptz
      WHEN 'month' THEN %(month_ends)s::timestamptz ELSE %(total_ends)s::timestamptz
    END AS ends_at
  FROM subjects JOIN cost_budget AS budget
    ON budget.organization_id = %(organization_id)s AND budget.is_active
    AND budget.scope = subjects.scope
    AND (budget.subject_id = subjects.subject_id OR budget.subject_id IS NULL)
  WHERE subjects.subject_id IS NOT NULL
  UNION ALL
  SELECT NULL, 'agent', %(agent_id)s::uuid, %(daily_limit_usd)s::numeric, true,
    %(day_starts)s::timestamptz, %(day_ends)s::timestamptz
  WHERE %(daily_limit_usd)s::numeric > 0 AND %(agent_id)s::uuid IS NOT NULL
)
"""
_OPEN: Final = f"""
WITH {LIMITS}
INSERT INTO cost_budgetwindow (id, created_at, updated_at, organization_id, budget_id, scope,
  subject_id, starts_at, ends_at, spent_usd, reserved_usd, alerted_percent, alerted_limit_usd)
SELECT gen_random_uuid(), %(now)s, %(now)s, %(organization_id)s::uuid, asked.budget_id,
  asked.scope, asked.subject_id, asked.starts_at, asked.ends_at, {SPENT}, 0, 0, 0
FROM limits AS asked WHERE asked.scope = 'run' OR NOT %(only_run)s
ON CONFLICT (organization_id, budget_id, subject_id, starts_at) DO NOTHING
"""  # noqa: S608 - made of constants
# What is given back to the windows of the rows of `gone (amount_usd, window_ids)`.
GIVE_BACK: Final = """
sums AS (
  SELECT window_id, sum(amount_usd) AS amount_usd
  FROM gone, unnest(gone.window_ids) AS window_id GROUP BY 1
),
locked AS (
  SELECT stored.id FROM cost_budgetwindow AS stored JOIN sums ON sums.window_id = stored.id
  ORDER BY stored.id FOR UPDATE OF stored
),
given AS (
  UPDATE cost_budgetwindow AS stored
  SET reserved_usd = stored.reserved_usd - sums.amount_usd
  FROM locked JOIN sums ON sums.window_id = locked.id WHERE stored.id = locked.id
)
"""


def lock_keys(organization_id: UUID) -> dict[str, int]:
    """The parameters of ALONE and SHARED; two organizations that collide merely wait."""
    return {"lock_space": LOCK_SPACE, "lock_key": organization_id.int % 2**31}


def period_keys(now: datetime) -> dict[str, datetime]:
    """The parameters of LIMITS about time."""
    found: dict[str, datetime] = {}
    for period in BudgetPeriod:
        found[f"{period}_starts"], found[f"{period}_ends"] = periods.bounds(period=period, now=now)
    return found


@transaction.atomic
def open_windows(*, asked: Mapping[str, Any], only_run: bool) -> None:
    """Make the windows that are lacking for a call, with what was spent in them so far.

    `asked` are the parameters of LIMITS and of the lock. `only_run`: just those of its run, whose
    calls come one by one, so that each new run need not wait for everybody.
    """
    with connection.cursor() as cursor:
        if not only_run:
            cursor.execute(ALONE, asked)
        cursor.execute(_OPEN, {**asked, "only_run": only_run})


def prune_windows(*, now: datetime) -> int:
    """Delete windows that nobody asks for again, in small batches; how many.

    One that is asked for after all is made again from the ledger.
    """
    idle = BudgetWindow.objects.filter(
        scope__in=("task", "run"), reserved_usd=0, updated_at__lt=now - IDLE
    )
    ended = BudgetWindow.objects.filter(ends_at__lt=now - KEPT, reserved_usd=0)
    return _delete(ended) + _delete(idle)


def _delete(rows: Any) -> int:
    deleted = 0
    while True:
        count: int
        count, _ = rows.filter(pk__in=list(rows.values_list("pk", flat=True)[:BATCH])).delete()
        deleted += count
        if count < BATCH:
            return deleted
