"""A process whose clock is wrong by FAULT_CLOCK_SECONDS."""

import os
from datetime import datetime, timedelta, tzinfo
from typing import Final

from kernel import clock

AHEAD: Final = timedelta(seconds=float(os.environ.get("FAULT_CLOCK_SECONDS", "0")))


class Skewed(datetime):
    """The system's clock as this process sees it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no Skewed
        """Early or late."""
        return datetime.now(tz) + AHEAD


def install() -> None:
    """Let the hub's clock read this one."""
    if not AHEAD:
        return
    setattr(clock, "datetime", Skewed)  # noqa: B010 - the module has no such attribute to mypy
