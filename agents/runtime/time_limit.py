"""How long a run may take; while an agent that it called waits for a place, time stands still."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from math import inf
from time import monotonic
from typing import Final

# A place that is never given back must not hold a run, and its worker's lease, for ever.
MOST_STILL_SECONDS: Final = 3600.0
# Whoever waits for the end of a time that stands still looks again so soon at the earliest.
LEAST_SECONDS: Final = 0.05


class TimeLimit:
    """The time of one run, which `caller`'s run waits for. For one event loop.

    After `most` seconds from now it is over in any case, and an hour after it would have been.
    """

    def __init__(self, caller: "TimeLimit | None" = None, *, most: float = inf) -> None:
        self._caller = caller
        self._ends_at = inf
        self._latest = monotonic() + most
        self._stops = 0
        self._stopped_at = 0.0

    def begin(self, seconds: float) -> None:
        """So many are left from now on."""
        self._ends_at = monotonic() + seconds
        self._latest = min(self._latest, self._ends_at + MOST_STILL_SECONDS)

    def left(self) -> float:
        """Seconds after which it may be over, 0 once it is."""
        now = monotonic()
        left = self._ends_at - now
        if self._stops:
            left = max(LEAST_SECONDS, self._ends_at - self._stopped_at)
        return max(0.0, min(left, self._latest - now))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time stands still, for the run and for those that wait for it."""
        with self._caller.stopped() if self._caller else nullcontext():
            if not self._stops:
                self._stopped_at = monotonic()
            self._stops += 1
            try:
                yield
            finally:
                self._stops -= 1
                if not self._stops:
                    self._ends_at += monotonic() - self._stopped_at
