"""The housekeeping of accounts."""

from accounts.operations import pruning
from kernel import clock
from kernel.jobs import job


@job("accounts.prune_sessions", queue="housekeeping", every=3600)
def prune_sessions(**_newer_arguments: object) -> None:
    """Forget sessions that ended long ago."""
    pruning.prune_sessions(now=clock.now())
