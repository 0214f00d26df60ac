"""The relay's and the pruner's jobs."""

from events import operations
from kernel import clock
from kernel.jobs import job


@job("events.relay_outbox", queue="events", every=5, linger=0.02)
def relay_outbox(**_newer_arguments: object) -> None:
    """Send what was committed since the last ring."""
    operations.relay_outbox(now=clock.now())


@job("events.prune_outbox", queue="housekeeping", every=600)
def prune_outbox(**_newer_arguments: object) -> None:
    """Delete what everybody was told long ago."""
    operations.prune_outbox(now=clock.now())
