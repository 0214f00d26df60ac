"""Workers that are killed at random: nothing is lost, nothing is done twice."""

import os
import random
import time
from typing import Final

import pytest

from tests.faults.scene import Scene, settled, written_once
from tests.journeys import hubs

RUNS: Final = int(os.environ.get("FAULT_RUNS", "50"))
# The supervisor gives up after five deaths in quick succession, so more need longer pauses.
KILLS: Final = int(os.environ.get("FAULT_KILLS", "4"))
LONGEST_PAUSE: Final = 2.5 if KILLS < 5 else 25.0
CALLS: Final = 3
SECONDS: Final = 60 + RUNS * 3


@pytest.mark.timeout(SECONDS * 2)
def test_killed_at_random_nothing_is_lost_or_done_twice(scene: Scene) -> None:
    chance = random.Random(20)
    agent_id = scene.make_agent("kill", max_concurrent_tasks=5)
    titles = [f"kill-{number} calls={CALLS} pause=0.01" for number in range(RUNS)]
    scene.make_tasks(agent_id, titles)

    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, LONGEST_PAUSE))
        scene.kill("worker")
    hubs.wait_for(lambda: is_done(scene, agent_id), SECONDS)

    settled(scene)
    written_once(scene, agent_id, "kill", RUNS * CALLS)
    ends = [outcome for *_, outcome in scene.attempts(agent_id)]
    assert ends.count("succeeded") == RUNS


def is_done(scene: Scene, agent_id: str) -> bool:
    """Whether all tasks are completed; those in review are let on."""
    scene.let_on()
    query = "SELECT 1 FROM tasks_task WHERE agent_id = %s AND status <> 'completed'"
    return not scene.rows(query, agent_id)
