"""When the period of a budget begins and ends, in UTC."""

from datetime import UTC, datetime, timedelta

from cost.choices import BEGINNING, NEVER, BudgetPeriod


def day_of(now: datetime) -> datetime:
    """The beginning of the day of `now`."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def bounds(*, period: str, now: datetime) -> tuple[datetime, datetime]:
    """The first instant of the period of `now`, and the first after it."""
    day = day_of(now)
    if period == BudgetPeriod.DAY:
        return day, day + timedelta(days=1)
    if period == BudgetPeriod.MONTH:
        month = day.replace(day=1)
        return month, (month + timedelta(days=31)).replace(day=1)
    return BEGINNING, NEVER


def reset_of(ends_at: datetime) -> datetime | None:
    """When a budget begins anew; None for one that never does."""
    return None if ends_at == NEVER else ends_at
