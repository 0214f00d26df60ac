"""Providers that answer too late, for ever, or break off."""

from typing import Final

from tests.faults.scene import Scene, eventually, settled

SECONDS: Final = 2
WAYS: Final = ("hang", "endless")


def failed(scene: Scene, task_ids: list[str]) -> bool:
    """Whether all of them are."""
    return {scene.task(task_id)["status"] for task_id in task_ids} == {"failed"}


def test_models_that_come_to_no_end_are_left(scene: Scene) -> None:
    before, asked = scene.peer.disconnects, len(scene.peer.requests)
    impatient = scene.make_agent("impatient", timeout_seconds=SECONDS, max_concurrent_tasks=2)
    titles = [f"{way}-{number} peer={way}" for way in WAYS for number in range(2)]
    late = scene.make_tasks(impatient, titles, max_retries=0)
    patient = scene.make_agent("patient")
    deadline = scene.rows("SELECT now() + interval '6 seconds'")[0][0].isoformat()
    overdue = scene.make_tasks(
        patient, [f"{way}-9 peer={way}" for way in WAYS], deadline=deadline, max_retries=5
    )

    eventually(lambda: failed(scene, late + overdue))

    # Two at a time and four in all: the second two had the slots of the first.
    assert [outcome for *_, outcome in scene.attempts(impatient)] == ["timed_out"] * 4
    assert {scene.task(task_id)["error_kind"] for task_id in late} == {"timeout"}
    # On a slow machine they may be overdue before they begin.
    assert {outcome for *_, outcome in scene.attempts(patient)} <= {"timed_out"}
    eventually(lambda: scene.peer.disconnects - before == len(scene.peer.requests) - asked)
    settled(scene)


def test_a_model_that_breaks_off_is_asked_again_and_then_given_up(scene: Scene) -> None:
    agent_id = scene.make_agent("drop")

    dropped = scene.make_tasks(agent_id, ["drop-0 peer=drop"], max_retries=1)
    eventually(lambda: failed(scene, dropped))

    assert scene.task(dropped[0])["error_kind"] == "provider_unavailable"
    assert [(number, outcome) for _, number, _, outcome in scene.attempts(agent_id)] == [
        (1, "failed"),
        (2, "failed"),
    ]
    settled(scene)


def test_tasks_wait_for_an_open_breaker_and_lose_no_retry(scene: Scene) -> None:
    limits = {"failure_threshold": 1, "success_threshold": 1, "recovery_timeout_seconds": 8}
    breaker = {"name": "provider:openai", **limits}
    scene.api.post("/circuit-breakers", json=breaker).raise_for_status()
    agent_id = scene.make_agent("held", max_concurrent_tasks=1)

    # One after the other: those behind the first find the breaker open.
    titles = ["held-0 peer=drop", "held-1 calls=1 pause=0.01", "held-2 calls=1 pause=0.01"]
    dropped, *waiting = scene.make_tasks(agent_id, titles, max_retries=0)
    settled(scene)

    assert failed(scene, [dropped])
    tasks = [scene.task(task_id) for task_id in waiting]
    assert [(task["status"], task["retry_count"]) for task in tasks] == [("completed", 0)] * 2
    outcomes = [outcome for *_, outcome in scene.attempts(agent_id)]
    assert outcomes.count("succeeded") == 2
    assert set(outcomes) == {"failed", "postponed", "succeeded"}
    kinds = "SELECT DISTINCT error_kind FROM agents_agentexecution WHERE agent_id = %s"
    assert set(scene.rows(kinds, agent_id)) == {("provider_unavailable",), ("breaker_open",), ("",)}
    (shown,) = scene.api.get("/circuit-breakers").json()["items"]
    assert (shown["service"], shown["state"]) == ("provider:openai", "closed")
    scene.api.post(
        "/circuit-breakers", json={**breaker, "failure_threshold": 5, "success_threshold": 3}
    ).raise_for_status()
