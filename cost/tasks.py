"""The jobs of cost."""

from cost.operations import rollup, unanswered, windows
from kernel import clock
from kernel.jobs import job


@job("cost.roll_usage", queue="housekeeping", every=30)
def roll_usage(**_newer_arguments: object) -> None:
    """Add the ledger up by day."""
    rollup.roll_usage()


# The name is kept: schedules of the former version have it.
@job("cost.release_abandoned", queue="housekeeping", every=60)
def book_abandoned(**_newer_arguments: object) -> None:
    """Count as spent what was held for calls that nobody closed."""
    unanswered.book_abandoned(now=clock.synchronise())


@job("cost.prune_windows", queue="housekeeping", every=3600)
def prune_windows(**_newer_arguments: object) -> None:
    """Delete what nobody counts in any more."""
    windows.prune_windows(now=clock.synchronise())
