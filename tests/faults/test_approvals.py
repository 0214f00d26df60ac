"""Approved calls and workers that are killed: each is made once, however the deaths fall."""

import random
import time
from collections import Counter
from typing import Final

from tests.faults.scene import Scene, eventually, settled
from tests.journeys import hubs

RUNS: Final = 8
# The scene has one person: who makes the tasks also decides.
RULE: Final = {"name": "Alone", "action": "execute_tool:*", "allow_self_approval": True}
PENDING: Final = (
    "SELECT id::text FROM approvals_approval WHERE agent_id = %s AND status = 'pending'"
)
OPEN: Final = "SELECT 1 FROM tasks_task WHERE agent_id = %s AND status <> 'completed'"
UNKNOWN: Final = (
    "SELECT 1 FROM tasks_task WHERE agent_id = %s AND error_kind = 'tool_outcome_unknown'"
)


def test_killed_around_approvals_each_call_is_made_once(scene: Scene) -> None:
    chance = random.Random(7)
    scene.api.post("/approval-rules", json=RULE).raise_for_status()
    agent_id = scene.make_agent("asked", autonomy_level="supervised")
    scene.make_tasks(agent_id, [f"asked-{number} calls=1 pause=0.01" for number in range(RUNS)])
    eventually(lambda: len(scene.rows(PENDING, agent_id)) == RUNS)
    eventually(lambda: not scene.running(agent_id))
    assert scene.lines("asked") == []

    scene.kill("worker")
    for (approval_id,) in scene.rows(PENDING, agent_id):
        scene.api.post(f"/approvals/{approval_id}/approve").raise_for_status()
    time.sleep(chance.uniform(2, 5))
    scene.kill("worker")
    hubs.wait_for(lambda: is_done(scene, agent_id), 120)

    settled(scene)
    lines = Counter(scene.lines("asked"))
    assert [line for line, times in lines.items() if times > 1] == []
    assert RUNS - scene.unknown_calls(agent_id) <= len(lines) <= RUNS
    used = "SELECT used_at FROM approvals_approval WHERE agent_id = %s"
    assert [at is not None for (at,) in scene.rows(used, agent_id)] == [True] * RUNS


def is_done(scene: Scene, agent_id: str) -> bool:
    """Whether all tasks are completed; those of unknown outcome are let on."""
    if scene.rows(UNKNOWN, agent_id):
        scene.let_on()
    return not scene.rows(OPEN, agent_id)
