"""The jobs of tools."""

from kernel import clock, jobs, loop
from kernel.jobs import job
from tools.operations import builtins, refreshing


@job("tools.refresh_sources", queue="housekeeping", every=15)
def refresh_sources(**_newer_arguments: object) -> None:
    """Ask the sources that are due, on this process's event loop."""
    claimed = refreshing.claim_due(now=clock.synchronise())
    for source in claimed:
        loop.get().submit(refreshing.refresh(source, clock=clock.now))
    if len(claimed) == refreshing.BATCH:
        jobs.ring("tools.refresh_sources")


@job("tools.offer_builtins", queue="housekeeping", every=60)
def offer_builtins(**_newer_arguments: object) -> None:
    """Put the hub's own tools into the catalogues of new organizations."""
    builtins.offer(now=clock.now())
