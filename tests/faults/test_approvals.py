"""Decisions and processes that are killed: each call is made once, however the deaths fall."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest

from tests.faults.effects.decision import HELD, HOLD
from tests.faults.scene import Scene, eventually, settled, written_once
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
# Its status, how many voted, and how often that was recorded.
STANDING: Final = """
    SELECT status, (SELECT count(*) FROM approvals_vote WHERE approval_id = approval.id), (
        SELECT count(*) FROM audit_auditevent
        WHERE action = 'approval.approve' AND resource_id = approval.id::text
    ) FROM approvals_approval AS approval WHERE id = %s
"""
LET_ON: Final = """
    SELECT action FROM audit_auditevent
    WHERE resource_id = %s AND details ->> 'reason' = 'approval approved'
"""


@pytest.fixture(scope="module", autouse=True)
def _rule(scene: Scene) -> None:
    scene.api.post("/approval-rules", json=RULE).raise_for_status()


def test_killed_around_approvals_each_call_is_made_once(scene: Scene) -> None:
    chance = random.Random(7)
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
    written_once(scene, agent_id, "asked", RUNS)
    used = "SELECT used_at FROM approvals_approval WHERE agent_id = %s"
    assert [at is not None for (at,) in scene.rows(used, agent_id)] == [True] * RUNS


def test_a_decision_that_is_killed_before_and_after_its_commit_is_made_once(scene: Scene) -> None:
    agent_id = scene.make_agent("decided", autonomy_level="supervised")
    (task_id,) = scene.make_tasks(agent_id, ["decided-0 calls=1 pause=0.01"])
    eventually(lambda: bool(scene.rows(PENDING, agent_id)))
    eventually(lambda: not scene.running(agent_id))
    ((approval_id,),) = scene.rows(PENDING, agent_id)
    hold, held = scene.folder / HOLD, scene.folder / HELD

    hold.write_text("before")
    with ThreadPoolExecutor(1) as threads:
        try:
            deciding = threads.submit(decide, scene, approval_id)
            eventually(held.exists)
            hold.write_text("after")  # for whoever comes next; who waits goes on waiting
            kill_held(scene)
            assert scene.rows(STANDING, approval_id) == [("pending", 0, 0)]

            eventually(held.exists)
            assert scene.rows(STANDING, approval_id) == [("approved", 1, 1)]
            # Nobody rang for the task, and now nobody sweeps.
            kill_held(scene)
            scene.kill("scheduler")
        finally:
            hold.unlink()
        answer = deciding.result(hubs.SECONDS)
    hubs.wait_for(lambda: is_done(scene, agent_id), 120)

    assert (answer["status"], answer["id"]) == ("approved", approval_id)
    settled(scene)
    assert scene.rows(STANDING, approval_id) == [("approved", 1, 1)]
    assert len(scene.rows(LET_ON, task_id)) == 1
    written_once(scene, agent_id, "decided", 1)


def decide(scene: Scene, approval_id: str) -> Any:
    """Approve, again and again until that is answered with success; the answer."""
    key = {"Idempotency-Key": approval_id, "Authorization": scene.api.headers["Authorization"]}
    found: list[Any] = []

    def is_answered() -> bool:
        with suppress(httpx.TransportError):
            answer = api.post(f"/approvals/{approval_id}/approve", headers=key)
            found.extend([answer.json()] if answer.is_success else [])
        return bool(found)

    with scene.client() as api:
        eventually(is_answered)
    return found[0]


def kill_held(scene: Scene) -> None:
    """Kill the web process, which is the one that waits."""
    held = scene.folder / HELD
    pid = int(held.read_text())
    held.unlink()
    assert scene.kill("web").pid == pid


def is_done(scene: Scene, agent_id: str) -> bool:
    """Whether all tasks are completed; those of unknown outcome are let on."""
    if scene.rows(UNKNOWN, agent_id):
        scene.let_on()
    return not scene.rows(OPEN, agent_id)
