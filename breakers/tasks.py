"""The job of breakers."""

from breakers.operations import hosts
from kernel import clock
from kernel.jobs import job


@job("breakers.prune_hosts", queue="housekeeping", every=3600)
def prune_hosts(**_newer_arguments: object) -> None:
    """Forget hosts that have not failed for long."""
    hosts.prune_hosts(now=clock.synchronise())
