"""Holding the worst case of a model call in every budget that it counts in, before it goes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import connection

from cost.choices import DEMO
from cost.errors import BudgetExhausted, CallUnpriced
from cost.operations import windows
from cost.operations.windows import GIVE_BACK, LIMITS
from cost.selectors import periods, prices
from cost.selectors.prices import OWN

log = structlog.get_logger(__name__)
# No call takes as long: whoever reserved for it has died, or forgot.
ABANDONED_AFTER: Final = timedelta(minutes=15)
BATCH: Final = 500
# A window may be lacking, a reservation of the same call may be left from a worker that died.
TRIES: Final = 4
_RESERVE: Final = f"""
WITH {OWN},
{LIMITS},
bound AS (
  SELECT coalesce(
    (SELECT round((input_usd * %(input_tokens)s + output_usd * %(output_tokens)s) / 1000000, 8)
     FROM own),
    %(list_usd)s::numeric
  ) AS usd
),
held AS (
  SELECT stored.id, stored.budget_id, stored.scope, limits.limit_usd, stored.spent_usd,
    stored.reserved_usd, stored.ends_at, limits.is_hard AND (bound.usd IS NULL
      OR bound.usd > 0 AND stored.spent_usd + stored.reserved_usd + bound.usd > limits.limit_usd
    ) AS is_refused
  FROM limits CROSS JOIN bound JOIN cost_budgetwindow AS stored
    ON stored.organization_id = %(organization_id)s AND stored.subject_id = limits.subject_id
    AND stored.starts_at = limits.starts_at
    AND stored.budget_id IS NOT DISTINCT FROM limits.budget_id
  ORDER BY stored.id FOR UPDATE OF stored
),
verdict AS (
  SELECT (SELECT count(*) FROM limits) AS expected,
    (SELECT count(*) FROM held) AS found,
    (SELECT count(*) FROM limits WHERE scope <> 'run')
      = (SELECT count(*) FROM held WHERE scope <> 'run') AS lacks_only_run,
    EXISTS (SELECT FROM held WHERE is_refused) AS is_refused,
    EXISTS (
      SELECT FROM cost_reservation
      WHERE execution_id = %(execution_id)s AND ordinal = %(ordinal)s
    ) AS is_doubled
),
moved AS (
  UPDATE cost_budgetwindow AS stored
  SET reserved_usd = stored.reserved_usd + coalesce(bound.usd, 0), updated_at = %(now)s
  FROM held, bound, verdict
  WHERE stored.id = held.id AND verdict.expected = verdict.found
    AND NOT verdict.is_refused AND NOT verdict.is_doubled
),
kept AS (
  INSERT INTO cost_reservation (organization_id, execution_id, ordinal, amount_usd, window_ids,
    created_at)
  SELECT %(organization_id)s::uuid, %(execution_id)s::uuid, %(ordinal)s, coalesce(bound.usd, 0),
    (SELECT array_agg(id) FROM held), %(now)s
  FROM bound, verdict
  WHERE verdict.expected = verdict.found AND verdict.expected > 0
    AND NOT verdict.is_refused AND NOT verdict.is_doubled
)
SELECT verdict.expected = verdict.found, verdict.lacks_only_run, verdict.is_doubled, bound.usd,
  held.budget_id, held.scope, held.limit_usd, held.spent_usd, held.reserved_usd, held.ends_at
FROM verdict CROSS JOIN bound LEFT JOIN held ON held.is_refused
"""  # noqa: S608 - made of constants
_RELEASE: Final = f"""
WITH gone AS (
  DELETE FROM cost_reservation
  WHERE execution_id = ANY (%(execution_ids)s::uuid[])
    AND (%(ordinal)s::int IS NULL OR ordinal = %(ordinal)s::int)
  RETURNING amount_usd, window_ids
),
{GIVE_BACK}
SELECT count(*) FROM gone
"""  # noqa: S608 - made of constants
_ABANDON: Final = f"""
WITH old AS (
  SELECT id FROM cost_reservation WHERE created_at < %(before)s
  ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED
),
gone AS (
  DELETE FROM cost_reservation AS stored USING old WHERE stored.id = old.id
  RETURNING stored.amount_usd, stored.window_ids, stored.execution_id
),
{GIVE_BACK}
SELECT execution_id, amount_usd FROM gone
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the statement found; `refusing` are the windows without room."""

    is_complete: bool
    lacks_only_run: bool
    is_doubled: bool
    needed_usd: Decimal | None
    refusing: list[tuple[UUID | None, str, Decimal, Decimal, Decimal, datetime]]


def reserve(
    *,
    organization_id: UUID,
    agent_id: UUID | None,
    task_id: UUID | None,
    execution_id: UUID,
    ordinal: int,
    provider: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    daily_limit_usd: Decimal = Decimal(0),
    now: datetime,
) -> None:
    """Hold what the call costs at most, in one statement; nothing if no budget counts it.

    `input_tokens` and `output_tokens` are upper bounds. `daily_limit_usd` is that of the agent's
    version; 0 is none. `record_usage` of the same (`execution_id`, `ordinal`), or `release`, gives
    it back. Raises BudgetExhausted if a hard budget has no room, CallUnpriced if nobody knows the
    price and one would have to know. Call it outside of a transaction that holds locks.
    """
    if provider == DEMO:
        return
    worst = prices.worst_case(
        provider=provider,
        model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        at=now,
    )
    asked = {
        **windows.lock_keys(organization_id),
        **windows.period_keys(now),
        "organization_id": organization_id,
        "agent_id": agent_id,
        "task_id": task_id,
        "execution_id": execution_id,
        "ordinal": ordinal,
        "provider": provider,
        "model": model,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "list_usd": worst.cost_usd if worst.is_priced else None,
        "daily_limit_usd": daily_limit_usd,
        "now": now,
    }
    for _ in range(TRIES):
        answer = _ask(asked)
        if not answer.is_complete:
            windows.open_windows(asked=asked, only_run=answer.lacks_only_run)
        elif answer.is_doubled:
            release(execution_id=execution_id, ordinal=ordinal)
        elif answer.refusing:
            raise _refusal(answer, provider, model)
        else:
            return
    raise BudgetExhausted("The budgets changed too often just now. Try again.", data=_UNKNOWN)


_UNKNOWN: Final[dict[str, Any]] = {
    "budget_id": None,
    "scope": None,
    "needed_usd": None,
    "left_usd": None,
    "resets_at": None,
    "is_fleeting": True,
}


def release(*, execution_id: UUID, ordinal: int) -> None:
    """Give back what was held for a call that brought no answer, in the caller's transaction."""
    _release([execution_id], ordinal)


def release_executions(execution_ids: Sequence[UUID]) -> int:
    """Give back all that runs hold that were closed, in the caller's transaction; how many calls.

    One call a transaction, after whatever else it locks.
    """
    return _release(execution_ids, None) if execution_ids else 0


def release_abandoned(*, now: datetime) -> int:
    """Give back what was held for over 15 minutes: nobody closed these runs. How many calls."""
    released = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_ABANDON, {"before": now - ABANDONED_AFTER})
            found = cursor.fetchall()
        for execution_id, amount_usd in found:
            log.warning(
                "cost.reservation.abandoned",
                execution_id=str(execution_id),
                amount_usd=str(amount_usd),
            )
        released += len(found)
        if len(found) < BATCH:
            return released


def _ask(asked: dict[str, Any]) -> _Answer:
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, asked)
        rows = cursor.fetchall()
    is_complete, lacks_only_run, is_doubled, needed_usd = rows[0][:4]
    refusing = [row[4:] for row in rows if row[5] is not None]
    return _Answer(is_complete, lacks_only_run, is_doubled, needed_usd, refusing)


def _release(execution_ids: Sequence[UUID], ordinal: int | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"execution_ids": list(execution_ids), "ordinal": ordinal})
        (count,) = cursor.fetchone()
    return int(count)


def _refusal(answer: _Answer, provider: str, model: str) -> BudgetExhausted:
    needed = answer.needed_usd
    # The one that is in the way for longest: waiting for any other would not help.
    first = max(answer.refusing, key=lambda row: (not _is_fleeting(row, needed), row[5]))
    budget_id, scope, limit, spent, reserved, ends_at = first
    left = max(Decimal(0), limit - spent - reserved)
    resets_at = periods.reset_of(ends_at)
    is_fleeting = _is_fleeting(first, needed)
    data = {
        "budget_id": str(budget_id) if budget_id else None,
        "scope": scope,
        "needed_usd": None if needed is None else str(needed),
        "left_usd": str(left),
        "resets_at": resets_at.isoformat() if resets_at else None,
        "is_fleeting": is_fleeting,
    }
    if needed is None:
        sentence = (
            f"Nobody knows what {model} of {provider} costs, and a hard budget counts this call."
            " Set its price (POST /api/v1/prices), or make the budget soft."
        )
        return CallUnpriced(sentence, data=data | {"resets_at": None})
    name = f"the budget of the {scope}" if budget_id else "the agent's daily limit"
    sentence = (
        f"The next model call can cost {needed:.4f} USD, and {name} of {limit:.4f} USD"
        f" has {left:.4f} USD left. {_way_out(resets_at, is_fleeting=is_fleeting)}"
    )
    return BudgetExhausted(sentence, data=data)


def _way_out(resets_at: datetime | None, *, is_fleeting: bool) -> str:
    if is_fleeting:
        return "Other calls hold the rest; try again when they have ended."
    if resets_at is None:
        return "Raise the budget."
    return f"Raise the budget, or wait until {resets_at:%Y-%m-%d %H:%M} UTC."


def _is_fleeting(
    row: tuple[UUID | None, str, Decimal, Decimal, Decimal, datetime], needed: Decimal | None
) -> bool:
    """Whether only calls that are under way are in the way."""
    _, _, limit, spent, _, _ = row
    return needed is not None and spent + needed <= limit
