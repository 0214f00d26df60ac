"""A worker whose runs end at once: what is left is the hub's own work.

With BENCH_STARTED set to a Redis key, each run first writes down when it began.
"""

import os
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()

from datetime import datetime

from django.core.management import call_command

from agents.models import AgentExecution, AgentVersion
from agents.operations import run_agent
from agents.runtime.spec import RunResult, Usage
from kernel import redis_client

STARTED = os.environ.get("BENCH_STARTED", "")


async def run_nothing(
    *, execution: AgentExecution, version: AgentVersion, deadline: datetime | None = None
) -> RunResult:
    """Succeed without a model."""
    if STARTED:
        redis_client.client().rpush(STARTED, repr(time.time()))
    return RunResult(
        status="success", output="", error=None, usage=Usage(), tool_calls=0, duration_ms=0
    )


if __name__ == "__main__":
    run_agent.run = run_nothing
    call_command("worker")
