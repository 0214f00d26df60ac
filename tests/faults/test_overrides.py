"""An override is changed over HTTP: workers in other processes, which remember it, obey at once."""

from collections.abc import Sequence
from typing import Any, Final

from tests.faults.scene import Scene, eventually, rest, settled, spread, warm

FIRST: Final = "gpt-4o-mini"
SECOND: Final = "gpt-4.1-mini"
# Half a minute of work, unless somebody stops it.
LONG: Final = "guided-{} calls=90 pause=0.05"


class Override:
    """What counts instead of an agent's own configuration, as an administrator writes it."""

    def __init__(self, scene: Scene, agent_name: str, **values: Any) -> None:
        self._api = scene.api
        url = f"{scene.hub.url}/v1/agentoverride"
        made = self._api.post(url, json={"agentName": agent_name, **values}).raise_for_status()
        self._url = f"{url}/{made.json()['sys_agentOverride']['id']}"

    def change(self, **values: Any) -> None:
        """Write it, and wait for the answer."""
        self._api.patch(self._url, json=values).raise_for_status()


def models(scene: Scene, since: int) -> set[str]:
    """Which were asked, after so many requests."""
    return {str(request.body["model"]) for request in scene.peer.requests[since:]}


def test_no_worker_goes_by_what_an_override_was(scene: Scene) -> None:
    rest(scene)
    since = len(scene.peer.requests)
    agent_id = scene.make_agent("guided", max_tool_calls=100)
    override = Override(scene, "guided", model=FIRST)

    with scene.another_worker() as other:
        workers = [scene.worker_of(each) for each in (scene.hub.member("worker"), other)]
        warm(scene, agent_id, "first", workers)
        rest(scene)
        assert models(scene, since) == {FIRST}

        override.change(model=SECOND)
        since = len(scene.peer.requests)
        warm(scene, agent_id, "second", workers)
        rest(scene)
        assert models(scene, since) == {SECOND}

        runs = spread(scene, agent_id, LONG, workers, each=1)
        override.change(enabled=False)
        try:
            assert_stopped(scene, agent_id, runs, workers)
        finally:  # its tasks end for those who come next, too
            for task_id in runs:
                scene.api.post(f"/tasks/{task_id}/cancel")  # 409 for what was done by then
            override.change(enabled=True)
        settled(scene)


def assert_stopped(
    scene: Scene, agent_id: str, runs: Sequence[str], workers: Sequence[str]
) -> None:
    """The agent's runs ask nothing more, and no worker takes up what waits for it."""
    since = len(scene.peer.requests)
    eventually(lambda: scene.running(agent_id) == 0)
    # Each run may have been on its way to the model.
    assert len(scene.peer.requests) - since <= len(runs)

    begun = scene.attempts(agent_id)
    (waiting,) = scene.make_tasks(agent_id, ["guided-0 calls=0 pause=0"])
    warm(scene, scene.make_agent("beside"), "beside", workers)

    assert scene.attempts(agent_id) == begun
    reason = scene.api.get(f"/tasks/{waiting}/explain").raise_for_status().json()["reasons"][0]
    assert reason["code"] == "agent_disabled"
