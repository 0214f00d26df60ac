"""The jobs of tasks."""

from kernel import clock
from kernel.jobs import job
from tasks.operations import runner, sweeps


@job("tasks.claim_tasks", queue="tasks")
def claim_tasks(**_newer_arguments: object) -> None:
    """Somebody rang: claim what waits and hand it to this process's event loop."""
    runner.get().hear(now=clock.synchronise)


@job("tasks.sweep_tasks", queue="housekeeping", every=5)
def sweep_tasks(**_newer_arguments: object) -> None:
    """Find what nobody rang for."""
    sweeps.sweep_tasks(now=clock.synchronise())
