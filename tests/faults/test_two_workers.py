"""Two workers and one task: a late one writes nothing, and no clock but the database's counts."""

import time
from collections import Counter
from typing import Final

from tests.faults.effects.relay import HELD, HOLD
from tests.faults.scene import SWEEP_SECONDS, Scene, eventually, rest, settled

HOUR: Final = 3600
EACH: Final = 2
# Ten seconds of work: enough to be caught in the middle of it on a busy machine.
CALLS: Final = 10


def test_a_worker_that_was_frozen_writes_nothing_more(scene: Scene) -> None:
    agent_id = scene.make_agent("frozen")
    late = scene.hub.member("worker")
    name = scene.worker_of(late)
    scene.make_tasks(agent_id, [f"frozen-{n} calls={CALLS} pause=0.2" for n in range(6)])
    eventually(lambda: len(scene.lines("frozen")) >= 6)

    # In the middle of a transaction, whose locks it keeps until the server cuts it off.
    (scene.folder / HOLD).write_text("before")
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
    assert {worker for _, _, worker, outcome in attempts if outcome == "lost"} == {name}
    assert [outcome for *_, outcome in attempts].count("succeeded") == 6
    lines = Counter(scene.lines("frozen"))
    assert [line for line, times in lines.items() if times > 1] == []
    assert 6 * CALLS - scene.unknown_calls(agent_id) <= len(lines) <= 6 * CALLS
    # It noticed, and works on.
    after = scene.make_agent("thawed")
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
        warm(scene, names)
        spread(scene, agent_id, names)
        # Long enough for a sweep with any of the clocks: nobody took a task from anybody.
        time.sleep(SWEEP_SECONDS + 1)
        before = scene.attempts(agent_id)
        ahead.kill()
        behind.kill()
        eventually(lambda: not any(scene.running_at(agent_id, name) for name in names[1:]))
        settled(scene)

    assert {(number, outcome) for _, number, _, outcome in before} <= {
        (1, "running"),
        (1, "succeeded"),
    }
    ends = Counter((worker, outcome) for _, _, worker, outcome in scene.attempts(agent_id))
    assert [ends[name, "lost"] > 0 for name in names] == [False, True, True]


def warm(scene: Scene, workers: list[str]) -> None:
    """Wait until each worker has done something."""
    agent_id = scene.make_agent("warm")
    number = 0

    def all_did() -> bool:
        nonlocal number
        scene.make_tasks(agent_id, [f"warm-{number} calls=0 pause=0"])
        number += 1
        time.sleep(0.2)
        return {worker for _, _, worker, _ in scene.attempts(agent_id)} >= set(workers)

    eventually(all_did)


def spread(scene: Scene, agent_id: str, workers: list[str]) -> None:
    """Make tasks until each worker has some of them under way."""
    number = 0

    def all_have() -> bool:
        nonlocal number
        scene.make_tasks(agent_id, [f"skew-{number} calls=4 pause=0.5"])
        number += 1
        return all(len(scene.running_at(agent_id, worker)) >= EACH for worker in workers)

    eventually(all_have)
