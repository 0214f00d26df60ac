"""Holding the worst case of a model call in every budget that it counts in, before it goes out."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection

from cost.choices import DEMO
from cost.errors import BudgetExhausted, CallUnpriced
from cost.operations import windows
from cost.operations.windows import GIVE_BACK, SHARED
from cost.selectors import periods, prices

# A window may be lacking, a reservation of the same call may be left from a worker that died.
TRIES: Final = 4
_RESERVE: Final = """
SELECT * FROM cost_reserve_1(%(lock_space)s, %(lock_key)s, %(organization_id)s, %(agent_id)s,
  %(task_id)s, %(user_id)s, %(execution_id)s, %(ordinal)s, %(provider)s, %(model)s,
  %(input_tokens)s, %(output_tokens)s, %(list_usd)s, %(periods)s, %(now)s)
"""
_RELEASE: Final = f"""
{SHARED}
WITH gone AS (
  DELETE FROM cost_reservation
  WHERE execution_id = %(execution_id)s::uuid AND ordinal = %(ordinal)s
  RETURNING amount_usd, window_ids
),
{GIVE_BACK}
SELECT count(*) FROM gone
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the statement found; `refusing` are the windows without room."""

    is_complete: bool
    lacks_only_run: bool
    is_doubled: bool
    needed_usd: Decimal | None
    is_counted: bool
    refusing: list[tuple[UUID, str, Decimal, Decimal, Decimal, datetime]]


def reserve(
    *,
    organization_id: UUID,
    agent_id: UUID | None,
    task_id: UUID | None,
    user_id: UUID | None = None,
    execution_id: UUID,
    ordinal: int,
    provider: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    now: datetime,
) -> bool:
    """Hold what the call costs at most, in one statement; false if no budget counts it.

    `input_tokens` and `output_tokens` are upper bounds. `record_usage` of the same (`execution_id`,
    `ordinal`) settles it, or `release`, or `operations.unanswered`. Raises BudgetExhausted if a
    hard budget has no room, CallUnpriced if nobody knows the price and one would have to know. Call
    it outside of a transaction that holds locks.
    """
    if provider == DEMO:
        return False
    worst = prices.worst_case(
        provider=provider,
        model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        at=now,
    )
    asked = {
        **windows.lock_keys(organization_id),
        "periods": windows.periods_at(now),
        "organization_id": organization_id,
        "agent_id": agent_id,
        "task_id": task_id,
        "user_id": user_id,
        "execution_id": execution_id,
        "ordinal": ordinal,
        "provider": provider,
        "model": model,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "list_usd": worst.cost_usd if worst.is_priced else None,
        "now": now,
    }
    for _ in range(TRIES):
        answer = _ask(asked)
        if not answer.is_complete:
            windows.open_windows(asked=asked, only_run=answer.lacks_only_run)
        elif answer.is_doubled:
            release(organization_id=organization_id, execution_id=execution_id, ordinal=ordinal)
        elif answer.refusing:
            raise _refusal(answer, provider, model)
        else:
            return answer.is_counted
    raise BudgetExhausted("The budgets changed too often just now. Try again.", data=_UNKNOWN)


_UNKNOWN: Final[dict[str, Any]] = {
    "budget_id": None,
    "scope": None,
    "needed_usd": None,
    "left_usd": None,
    "resets_at": None,
    "is_fleeting": True,
}


def release(*, organization_id: UUID, execution_id: UUID, ordinal: int) -> None:
    """Give back what was held for a call that cost nothing, in the caller's transaction."""
    asked: dict[str, Any] = {"execution_id": execution_id, "ordinal": ordinal}
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, asked | windows.lock_keys(organization_id))


def _ask(asked: dict[str, Any]) -> _Answer:
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, asked)
        rows = cursor.fetchall()
    refusing = [row[5:] for row in rows if row[5] is not None]
    is_complete, lacks_only_run, is_doubled, needed_usd, is_counted = rows[0][:5]
    return _Answer(is_complete, lacks_only_run, is_doubled, needed_usd, is_counted, refusing)


def _refusal(answer: _Answer, provider: str, model: str) -> BudgetExhausted:
    needed = answer.needed_usd
    # The one that is in the way for longest: waiting for any other would not help.
    first = max(answer.refusing, key=lambda row: (not _is_fleeting(row, needed), row[5]))
    budget_id, scope, limit, spent, reserved, ends_at = first
    left = max(Decimal(0), limit - spent - reserved)
    resets_at = periods.reset_of(ends_at)
    is_fleeting = _is_fleeting(first, needed)
    data = {
        "budget_id": str(budget_id),
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
    sentence = (
        f"The next model call can cost {needed:.4f} USD, and the budget of the {scope} of"
        f" {limit:.4f} USD has {left:.4f} USD left. {_way_out(resets_at, is_fleeting=is_fleeting)}"
    )
    return BudgetExhausted(sentence, data=data)


def _way_out(resets_at: datetime | None, *, is_fleeting: bool) -> str:
    if is_fleeting:
        return "Other calls hold the rest; try again when they have ended."
    if resets_at is None:
        return "Raise the budget."
    return f"Raise the budget, or wait until {resets_at:%Y-%m-%d %H:%M} UTC."


def _is_fleeting(
    row: tuple[UUID, str, Decimal, Decimal, Decimal, datetime], needed: Decimal | None
) -> bool:
    """Whether only calls that are under way are in the way."""
    _, _, limit, spent, _, _ = row
    return needed is not None and spent + needed <= limit
