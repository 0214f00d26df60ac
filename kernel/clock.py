"""The one clock. Read it in views, jobs, admin and commands; below them `now` is an argument."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection

# An answer that took longer says too little about the present.
PROMPT_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Correction:
    """How far the database's clock is ahead of this machine's."""

    by: timedelta = timedelta()
    read_at: float = -math.inf  # monotonic seconds


_correction = _Correction()


def now() -> datetime:
    """The current instant, timezone-aware, in UTC."""
    return datetime.now(UTC) + _correction.by


def synchronise() -> datetime:
    """Go by the database's clock from now on; the present instant. Raises a database Error.

    The database is asked once in five seconds: clocks drift, they do not jump. What workers on
    several hosts compare (one writes a lease, another finds it lapsed) holds only if they go by
    the same clock; one that is a minute ahead would take every task from the others.
    """
    asked = time.monotonic()
    if asked - _correction.read_at < KEPT_SECONDS:
        return now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        reference: datetime = cursor.fetchone()[0]
    if time.monotonic() - asked < PROMPT_SECONDS:
        _correction.by, _correction.read_at = reference - datetime.now(UTC), asked
    return reference
