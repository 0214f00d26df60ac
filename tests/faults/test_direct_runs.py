"""Direct runs in a whole hub: answered, given up, and finished by another worker."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.scene import Scene, eventually, settled


def ask(scene: Scene, agent_id: str, prompt: str) -> Any:
    body = {"prompt": prompt, "timeout_seconds": 120}
    answer = scene.api.post(f"/agents/{agent_id}/run", json=body, timeout=130)
    return answer.raise_for_status().json()


def test_a_run_whose_worker_is_killed_is_answered_by_the_next(scene: Scene) -> None:
    agent_id = scene.make_agent("direct")
    with ThreadPoolExecutor(1) as threads:
        with scene.silence():
            asking = threads.submit(ask, scene, agent_id, "direct-1 calls=0 pause=0")
            eventually(lambda: scene.running(agent_id) == 1)
            scene.kill("worker")
        told = asking.result(130)

    settled(scene)
    assert (told["status"], told["output"]) == ("success", "direct-1 is done.")
    assert [outcome for *_, outcome in scene.attempts(agent_id)] == ["lost", "succeeded"]


def test_whoever_leaves_a_stream_stops_its_worker(scene: Scene) -> None:
    agent_id = scene.make_agent("left")
    path, body = f"/agents/{agent_id}/stream", {"prompt": "left-1 peer=hang"}
    with scene.api.stream("POST", path, json=body) as stream:
        lines = stream.iter_lines()  # who forgets it hangs up
        assert next(lines) == "event: progress"
        eventually(lambda: scene.running(agent_id) == 1)

    settled(scene)
    assert [outcome for *_, outcome in scene.attempts(agent_id)] == ["cancelled"]
