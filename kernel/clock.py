"""The one clock. Read it in views, jobs, admin and commands; below them `now` is an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, timezone-aware, in UTC."""
    return datetime.now(UTC)
