"""The kernel's one job."""

from kernel import clock
from kernel.http import idempotency
from kernel.jobs import job


@job("kernel.prune_answers", queue="housekeeping", every=600)
def prune_answers(**_newer_arguments: object) -> None:
    """Forget the answers to old idempotency keys."""
    idempotency.prune_answers(now=clock.now())
