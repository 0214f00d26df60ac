"""The sealer's job."""

from audit import operations
from kernel import clock
from kernel.jobs import job


@job("audit.seal_events", queue="housekeeping", every=10)
def seal_events(**_newer_arguments: object) -> None:
    """Chain what was recorded since the last ring."""
    operations.seal_events(now=clock.now())
