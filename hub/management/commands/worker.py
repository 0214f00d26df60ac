"""`manage.py worker`: a Celery worker whose runs live on one event loop."""

import gc
import sys
import warnings
from argparse import ArgumentParser
from typing import Any, Final

from celery.exceptions import SecurityWarning
from celery.signals import worker_shutdown, worker_shutting_down
from django.conf import settings
from django.core.management.base import BaseCommand

from agents.operations import run_agent
from hub import database_role
from hub.celery import app
from kernel import loop
from tasks.operations import runner

QUEUES: Final = "tasks,events,housekeeping,default"
# They only hand over and sweep; runs do not live on them.
THREADS: Final = 4
SWITCH_SECONDS: Final = 0.001
LEAST_STUCK_SECONDS: Final = 60.0


class Command(BaseCommand):
    """Runs until TERM or Ctrl-C, then drains: no new claims, unfinished leases given back."""

    help = "Run tasks and housekeeping jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--concurrency` means runs in flight."""
        parser.add_argument("--concurrency", type=int, default=settings.HUB_WORKER_RUNS)
        parser.add_argument("--queues", default=QUEUES)

    def handle(self, *args: Any, **options: Any) -> None:
        """Become a Celery worker with a pool of threads."""
        database_role.refuse_one_above_policies()
        settings.HUB_WORKER_RUNS = options["concurrency"]
        run_agent.model_registry()  # the SDKs load now, not in the first run
        # What is loaded by now stays; without it each collection walks the SDKs' classes again.
        gc.collect()
        gc.freeze()
        # A thread that waits for the database would else give the interpreter away for 5 ms each
        # time, to a relay or sweep that nobody waits for.
        sys.setswitchinterval(SWITCH_SECONDS)
        process = runner.serve(run_agent.run)
        # By then all its leases have lapsed twice over.
        stuck = max(LEAST_STUCK_SECONDS, 2 * settings.HUB_LEASE.total_seconds())
        loop.get().end_when_stuck(seconds=stuck)
        worker_shutting_down.connect(lambda **_: process.stop(), weak=False)
        # Celery says so only when it was asked to end; it may also have failed.
        worker_shutdown.connect(lambda **_: process.stop(), weak=False)
        worker_shutdown.connect(_drain, weak=False)
        # Root is warned of because of pickle, which is not accepted here.
        warnings.simplefilter("ignore", SecurityWarning)
        worker = app.Worker(
            pool="threads",
            concurrency=THREADS,
            queues=options["queues"],
            loglevel="WARNING",
            quiet=True,  # no banner among the log lines
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()
        sys.exit(worker.exitcode)


def _drain(**_: Any) -> None:
    loop.stop(timeout=settings.HUB_DRAIN.total_seconds())
