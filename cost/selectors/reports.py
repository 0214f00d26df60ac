"""Spending by day, agent and provider (contract 003 B14); `selectors.spending` says why exact.

Days are those of UTC; a report of some days ends with today.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection

from cost.choices import CENT
from cost.selectors import periods
from cost.selectors.spending import MARK

# Who knows what agents are called, deleted ones too; the app that has them appends itself in
# `AppConfig.ready`.
NAMES: Final[list[Callable[[UUID, Collection[UUID]], Mapping[UUID, str]]]] = []
SUMMARY_DAYS: Final = 30
MOST_AGENTS: Final = 200
_USAGE: Final = f"""
WITH used AS (
  SELECT day, agent_id, provider, calls, unpriced_calls, input_tokens, output_tokens, cost_usd
  FROM cost_usageday WHERE organization_id = %(organization_id)s AND day >= %(since)s::date
  UNION ALL
  SELECT (occurred_at AT TIME ZONE 'UTC')::date, agent_id, provider, 1, (NOT is_priced)::int,
    input_tokens, output_tokens, cost_usd
  FROM cost_usagerecord
  WHERE organization_id = %(organization_id)s AND number > {MARK}
    AND occurred_at >= %(since)s::date::timestamp AT TIME ZONE 'UTC'
)
"""  # noqa: S608 - made of constants
_SUMS: Final = """
sum(calls)::bigint, sum(unpriced_calls)::bigint, sum(input_tokens)::bigint,
sum(output_tokens)::bigint, sum(cost_usd)
"""
_BY_DAY: Final = f"{_USAGE} SELECT day, provider, {_SUMS} FROM used GROUP BY 1, 2 ORDER BY 1, 2"  # noqa: S608 - made of constants
_BY_PROVIDER: Final = f"{_USAGE} SELECT provider, {_SUMS} FROM used GROUP BY 1 ORDER BY 6 DESC, 1"  # noqa: S608 - made of constants
_BY_AGENT: Final = f"""
{_USAGE} SELECT agent_id, {_SUMS}, sum(sum(cost_usd)) OVER () AS whole, count(*) OVER ()
FROM used GROUP BY 1 ORDER BY 6 DESC, 1 LIMIT {MOST_AGENTS}
"""  # noqa: S608 - made of constants
_TOTAL: Final = f"{_USAGE} SELECT coalesce(sum(cost_usd), 0) FROM used"  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over calls. With `unpriced_calls` above 0, `cost` is a lower bound."""

    request_count: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.request_count + other.request_count,
            self.unpriced_calls + other.unpriced_calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )

    @property
    def avg_cost_per_request(self) -> Decimal:
        """To a hundred-millionth of a dollar; 0 without a call."""
        return (self.cost / self.request_count).quantize(CENT) if self.request_count else self.cost


@dataclass(frozen=True, slots=True)
class Day:
    """One day, also one on which nothing happened."""

    date: date
    sums: Sums = field(default_factory=Sums)
    by_provider: dict[str, Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """What one agent (None: calls of none) or provider spent."""

    key: Any
    sums: Sums
    name: str = ""


@dataclass(frozen=True, slots=True)
class Shares:
    """The dearest first; `count` is how many there are, `total` what all of them spent."""

    items: list[Share]
    period_days: int
    total: Decimal
    count: int


def summary(*, organization_id: UUID, now: datetime) -> dict[str, Any]:
    """The last 30 days: total_30_days, daily_average over days with a call, days_with_data,
    unpriced_calls."""
    days = daily(organization_id=organization_id, days=SUMMARY_DAYS, now=now)
    sums = sum((day.sums for day in days), Sums())
    count = sum(1 for day in days if day.sums.request_count)
    return {
        "total_30_days": sums.cost,
        "daily_average": (sums.cost / count).quantize(CENT) if count else sums.cost,
        "days_with_data": count,
        "unpriced_calls": sums.unpriced_calls,
    }


def daily(*, organization_id: UUID, days: int, now: datetime) -> list[Day]:
    """Each of the last `days` days, oldest first."""
    found: dict[date, dict[str, Sums]] = {}
    for day, provider, *sums in _ask(_BY_DAY, organization_id, days, now):
        found.setdefault(day, {})[provider] = Sums(*sums)
    first = _since(days, now)
    dates = [first + timedelta(days=number) for number in range(days)]
    return [Day(d, sum(found.get(d, {}).values(), Sums()), found.get(d, {})) for d in dates]


def by_provider(*, organization_id: UUID, days: int, now: datetime) -> Shares:
    """Spending of the last `days` days by provider."""
    items = [
        Share(key, Sums(*sums)) for key, *sums in _ask(_BY_PROVIDER, organization_id, days, now)
    ]
    total = sum((item.sums.cost for item in items), Decimal(0))
    return Shares(items, days, total, len(items))


def by_agent(*, organization_id: UUID, days: int, now: datetime) -> Shares:
    """The same by agent: the MOST_AGENTS dearest."""
    rows = _ask(_BY_AGENT, organization_id, days, now)
    names = _names(organization_id, [key for key, *_ in rows if key])
    items = [Share(key, Sums(*sums), names.get(key, "")) for key, *sums, _, _ in rows]
    total, count = rows[0][-2:] if rows else (Decimal(0), 0)  # every row has those of all
    return Shares(items, days, total, count)


def _names(organization_id: UUID, agent_ids: Collection[UUID]) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    for find in NAMES if agent_ids else ():
        found |= find(organization_id, agent_ids)
    return found


def total_since(*, organization_id: UUID, since: datetime) -> Decimal:
    """What was spent from the day of `since` on."""
    with connection.cursor() as cursor:
        cursor.execute(_TOTAL, {"organization_id": organization_id, "since": since.date()})
        (found,) = cursor.fetchone()
    return Decimal(found)


def _since(days: int, now: datetime) -> date:
    return periods.day_of(now).date() - timedelta(days=days - 1)


def _ask(sql: str, organization_id: UUID, days: int, now: datetime) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"organization_id": organization_id, "since": _since(days, now)})
        return list(cursor.fetchall())
