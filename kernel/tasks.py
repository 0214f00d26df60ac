"""The kernel's jobs."""

from typing import Final

from kernel import clock, redis_client
from kernel.http import idempotency
from kernel.jobs import job

PULSE: Final = "hub:pulse"
PULSE_SECONDS: Final = 60


@job("kernel.note_pulse", queue="housekeeping", every=15)
def note_pulse(**_newer_arguments: object) -> None:
    """Leave a sign for a minute that the scheduler rings and a worker hears."""
    redis_client.client().set(PULSE, b"1", ex=PULSE_SECONDS)


@job("kernel.prune_answers", queue="housekeeping", every=600)
def prune_answers(**_newer_arguments: object) -> None:
    """Forget the answers to old idempotency keys."""
    idempotency.prune_answers(now=clock.now())
