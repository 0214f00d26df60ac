"""Two workers and one task: a late one writes nothing, and no clock but the database's counts."""

import time
from collections import Counter
from typing import Final

from tests.faults.effects.relay import HELD, HOLD
from tests.faults.scene import (
    SWEEP_SECONDS,
    Scene,
    eventually,
    rest,
    settled,
    spread,
    warm,
    written_once,
)

HOUR: Final = 3600
EACH: Final = 2
CALLS: Final = 5
RUNNING: Final = "SELECT id::text FROM tasks_task WHERE agent_id = %s AND status = 'in_progress'"


def test_a_worker_that_was_frozen_writes_nothing_more(scene: Scene) -> None:
    agent_id, after = scene.make_agent("frozen"), scene.make_agent("thawed")
    late = scene.hub.member("worker")
    name = scene.worker_of(late)
    scene.make_tasks(agent_id, [f"frozen-{n} calls={CALLS} pause=0.2" for n in range(6)])
    eventually(lambda: len(scene.lines("frozen")) >= 6)

    with scene.silence():
        # In the middle of a transaction, whose locks it keeps until the server cuts it off.
        (scene.folder / HOLD).write_text("before")
        scene.make_agent("told")
        eventually((scene.folder / HELD).exists)
        late.suspend()
    assert scene.running_at(agent_id, name), "Everything was done before the worker froze."
    (scene.folder / HOLD).unlink()
    with scene.another_worker():
        try:
            eventually(lambda: not scene.running_at(agent_id, name))
            rest(scene)
        finally:
            late.resume()
        settled(scene)

    attempts = scene.attempts(agent_id)
    assert name in {worker for _, _, worker, outcome in attempts if outcome == "lost"}
    assert [outcome for *_, outcome in attempts].count("succeeded") == 6
    written_once(scene, agent_id, "frozen", 6 * CALLS)
    # It noticed, and works on.
    scene.make_tasks(after, ["thawed-0 calls=1 pause=0.02"])
    settled(scene)
    assert [worker for _, _, worker, _ in scene.attempts(after)] == [name]


def test_workers_whose_clocks_are_an_hour_off_work_like_others(scene: Scene) -> None:
    agent_id = scene.make_agent("skew", max_concurrent_tasks=100)
    right = scene.hub.member("worker")

    with (
        scene.another_worker(FAULT_CLOCK_SECONDS=f"{HOUR}") as ahead,
        scene.another_worker(FAULT_CLOCK_SECONDS=f"-{HOUR}") as behind,
    ):
        names = [scene.worker_of(worker) for worker in (right, ahead, behind)]
        warm(scene, scene.make_agent("warm"), "warm", names)
        with scene.silence():
            spread(scene, agent_id, "skew-{} calls=0 pause=0", names, each=EACH)
            # Long enough for a sweep with any of the clocks: nobody took a task from anybody.
            time.sleep(SWEEP_SECONDS + 1)
            before = scene.attempts(agent_id)
            ahead.kill()
            behind.kill()
        eventually(lambda: not any(scene.running_at(agent_id, name) for name in names[1:]))
        # The third's own would wait for their models for ever.
        for (task_id,) in scene.rows(RUNNING, agent_id):
            scene.api.post(f"/tasks/{task_id}/cancel")
        settled(scene)

    assert {(number, outcome) for _, number, _, outcome in before} == {(1, "running")}
    ends = Counter((worker, outcome) for _, _, worker, outcome in scene.attempts(agent_id))
    assert [ends[name, "lost"] > 0 for name in names] == [False, True, True]
