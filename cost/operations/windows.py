"""Windows: the counters of budgets, one for each period of each subject.

Four rules keep them exact. Whoever reserves or books a call holds the organization's lock, shared,
to the end of its transaction, and takes it before it locks a reservation or a window (agents lock
the run's row before). Whoever makes a window, moves the ledger's mark, or has a budget hold again
what others do, holds it alone: then no call is between. All others who change windows lock them in
one statement, in the order of their ids: nobody waits for each other. And whoever holds one waits
for no task, agent or budget after it: the hooks of `budgets.RAISED` skip the tasks that somebody
has locked.
"""

from collections.abc import Collection, Mapping
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
# What calls under way hold already counts in a new window, too: a budget that takes the place of
# another one must not forget them. A run's own comes with its call, without the lock.
_OPEN: Final = f"""
WITH asked AS (
  SELECT * FROM cost_limits_1(%(organization_id)s, %(agent_id)s, %(task_id)s, %(execution_id)s,
    %(periods)s)
  WHERE scope = 'run' OR NOT %(only_run)s
),
held AS (
  SELECT asked.budget_id, asked.subject_id, kept.id, kept.amount_usd
  FROM asked JOIN cost_reservation AS kept ON kept.organization_id = %(organization_id)s
    AND kept.created_at >= asked.starts_at AND kept.created_at < asked.ends_at
    AND asked.subject_id = CASE asked.scope WHEN 'organization' THEN kept.organization_id
      WHEN 'agent' THEN kept.agent_id WHEN 'task' THEN kept.task_id ELSE kept.execution_id END
),
made AS (
  INSERT INTO cost_budgetwindow (id, created_at, updated_at, organization_id, budget_id, scope,
    subject_id, starts_at, ends_at, spent_usd, reserved_usd, alerted_percent, alerted_limit_usd)
  SELECT gen_random_uuid(), %(now)s, %(now)s, %(organization_id)s, asked.budget_id, asked.scope,
    asked.subject_id, asked.starts_at, asked.ends_at, {SPENT},
    (SELECT coalesce(sum(held.amount_usd), 0) FROM held
     WHERE held.budget_id = asked.budget_id AND held.subject_id = asked.subject_id), 0, 0
  FROM asked
  ON CONFLICT (organization_id, budget_id, subject_id, starts_at) DO NOTHING
  RETURNING id, budget_id, subject_id
)
UPDATE cost_reservation AS kept SET window_ids = kept.window_ids || new.ids
FROM (
  SELECT held.id, array_agg(made.id) AS ids FROM held JOIN made
    ON made.budget_id = held.budget_id AND made.subject_id = held.subject_id
  GROUP BY held.id
) AS new
WHERE kept.id = new.id
"""  # noqa: S608 - made of constants
# What calls hold that began while its budget did not count.
_HOLD: Final = """
WITH held AS (
  SELECT stored.id AS window_id, kept.id, kept.amount_usd
  FROM cost_budgetwindow AS stored JOIN cost_reservation AS kept
    ON kept.organization_id = stored.organization_id
    AND kept.created_at >= stored.starts_at AND kept.created_at < stored.ends_at
    AND stored.subject_id = CASE stored.scope WHEN 'organization' THEN kept.organization_id
      WHEN 'agent' THEN kept.agent_id WHEN 'task' THEN kept.task_id ELSE kept.execution_id END
    AND NOT stored.id = ANY (kept.window_ids)
  WHERE stored.organization_id = %s AND stored.budget_id = %s
),
marked AS (
  UPDATE cost_reservation AS kept SET window_ids = kept.window_ids || new.ids
  FROM (SELECT id, array_agg(window_id) AS ids FROM held GROUP BY 1) AS new
  WHERE kept.id = new.id
)
UPDATE cost_budgetwindow AS stored SET reserved_usd = stored.reserved_usd + new.amount_usd
FROM (SELECT window_id, sum(amount_usd) AS amount_usd FROM held GROUP BY 1) AS new
WHERE stored.id = new.window_id
"""
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


def lock_shared(organization_ids: Collection[UUID]) -> None:
    """Hold these organizations' locks as whoever books does, to the end of the transaction.

    Before any row of a reservation is locked: whoever makes a window holds the lock when it does.
    """
    with connection.cursor() as cursor:
        for organization_id in sorted(organization_ids):
            cursor.execute(SHARED, lock_keys(organization_id))


def periods_at(now: datetime) -> list[datetime]:
    """When day, month and total of now start and end, as `cost_limits_1` takes them."""
    order = (BudgetPeriod.DAY, BudgetPeriod.MONTH, BudgetPeriod.TOTAL)
    return [edge for period in order for edge in periods.bounds(period=period, now=now)]


@transaction.atomic
def open_windows(*, asked: Mapping[str, Any], only_run: bool) -> None:
    """Make the windows that are lacking for a call, with what was spent in them so far.

    `asked` are the parameters of `cost_limits_1` and of the lock. `only_run`: just those of its
    run, whose calls come one by one, so that each new run need not wait for everybody.
    """
    with connection.cursor() as cursor:
        if not only_run:
            cursor.execute(ALONE, asked)
        cursor.execute(_OPEN, {**asked, "only_run": only_run})


def move_windows(*, organization_id: UUID, former_id: UUID, budget_id: UUID) -> None:
    """Have another budget go on counting, in the caller's transaction: with what was spent, what
    calls under way hold, and what was told."""
    with connection.cursor() as cursor:
        cursor.execute(ALONE, lock_keys(organization_id))
    BudgetWindow.objects.filter(organization_id=organization_id, budget_id=former_id).update(
        budget_id=budget_id
    )


def hold_again(*, organization_id: UUID, budget_id: UUID) -> None:
    """Have a budget that counts again hold what calls under way hold elsewhere, in the caller's
    transaction: its windows counted all the while what was spent, but not that."""
    with connection.cursor() as cursor:
        cursor.execute(ALONE, lock_keys(organization_id))
        cursor.execute(_HOLD, [organization_id, budget_id])


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
