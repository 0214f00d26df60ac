"""What runs at once when a worker is killed: its places are free again, once and not before."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

import pytest

from tests.faults.scene import Scene, eventually, settled

RUNS: Final = 3
# One at a time: of an agent by its own setting, of a free key by a rule.
RULE: Final = {"scope": "key", "name": "keyed", "max_concurrent": 1}
OPEN: Final = "SELECT 1 FROM tasks_task WHERE agent_id = %s AND status <> 'completed'"


@pytest.fixture
def rule(scene: Scene) -> Iterator[str]:
    """The path of the rule."""
    made = scene.api.post("/limits", json=RULE).raise_for_status().json()
    yield f"/limits/{made['id']}"
    scene.api.delete(f"/limits/{made['id']}").raise_for_status()


def test_a_killed_worker_leaves_its_place_to_one_after_the_other(scene: Scene, rule: str) -> None:
    agents = {
        "alone": scene.make_agent("alone", max_concurrent_tasks=1),
        "keyed": scene.make_agent("keyed"),
    }
    with scene.silence():
        give(scene, agents, range(1, RUNS))
        eventually(lambda: [scene.running(agent_id) for agent_id in agents.values()] == [1, 1])
        scene.kill("worker")

    give(scene, agents, range(1))  # somebody rings, and only the dead has the place
    seen: set[int] = set()

    def all_done() -> bool:
        seen.update(scene.running(agent_id) for agent_id in agents.values())
        return not any(scene.rows(OPEN, agent_id) for agent_id in agents.values())

    eventually(all_done)

    assert seen <= {0, 1}
    for name, agent_id in agents.items():
        ends = [outcome for *_, outcome in scene.attempts(agent_id)]
        assert (ends.count("succeeded"), "lost" in ends) == (RUNS, True)
        # Two at once would take turns at the tool.
        turns = [task for task, _ in groupby(scene.lines(name), lambda line: line.split(".")[0])]
        assert RUNS <= len(turns) <= len(ends)
    assert scene.api.get(rule).raise_for_status().json()["running"] == 0
    settled(scene)


def give(scene: Scene, agents: Mapping[str, str], numbers: range) -> None:
    """Tasks of these numbers for each."""
    for name, agent_id in agents.items():
        titles = [f"{name}-{number} calls=3 pause=0.02" for number in numbers]
        scene.make_tasks(agent_id, titles, concurrency_key=name)
