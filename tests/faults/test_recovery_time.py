"""From the SIGKILL of a worker to each of its runs running again: measured and printed.

The bound is lease + sweep. A slow machine takes its own time to start the next worker, so nothing
is asserted about it. `make soak` prints the figures of `docs/production.md`.
"""

import math
import os
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import pytest

from tests.faults.scene import LEASE_SECONDS, SWEEP_SECONDS, Scene, eventually, settled

KILLS: Final = int(os.environ.get("FAULT_RECOVERIES", "1"))
RUNS: Final = 5


@pytest.mark.timeout(120 + KILLS * (LEASE_SECONDS * 2 + 60))
def test_runs_of_a_killed_worker_run_again(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(7)
    waits: list[float] = []

    for kill in range(KILLS):
        scene.grow_up("worker")
        agent_id = scene.make_agent(f"recovery {kill}")
        with scene.silence():
            scene.make_tasks(agent_id, [f"recovery-{n} calls=1 pause=0" for n in range(RUNS)])
            eventually(lambda: scene.running(agent_id) == RUNS)  # noqa: B023 - called here alone
            # Any moment between two renewals of the lease.
            time.sleep(chance.uniform(0, LEASE_SECONDS / 3))
            killed_at = scene.rows("SELECT clock_timestamp()")[0][0]
            scene.kill("worker")
        settled(scene)
        waits += [(at - killed_at).total_seconds() for at in second_starts(scene, agent_id)]

    assert len(waits) == KILLS * RUNS
    record_property("recovery", describe(sorted(waits)))


def second_starts(scene: Scene, agent_id: str) -> list[datetime]:
    """When each task's second attempt began."""
    found = scene.rows(
        "SELECT attempt.created_at FROM tasks_taskattempt AS attempt"
        " JOIN tasks_task AS task ON task.id = task_id"
        " WHERE task.agent_id = %s AND attempt.number = 2",
        agent_id,
    )
    return [at for (at,) in found]


def describe(waits: list[float]) -> str:
    """The figures in one line."""

    def at(share: float) -> str:
        return f"{waits[math.ceil(share * len(waits)) - 1]:.1f}"

    return (
        f"{KILLS} kills, {len(waits)} runs, lease {LEASE_SECONDS} s: running again after"
        f" p50 {at(0.5)} s, p99 {at(0.99)} s, max {at(1)} s;"
        f" lease + sweep are {LEASE_SECONDS + SWEEP_SECONDS} s"
    )
