"""Processes that are killed between two steps, or with nothing to do, and are started again."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from events.clients.channel import CHANNEL
from tests.faults.effects.relay import HELD, HOLD
from tests.faults.scene import Scene, eventually, rest, settled
from tests.faults.visitor import GONE, visiting


def run_some(scene: Scene, name: str, calls: int = 0) -> str:
    """Five tasks from their beginning to their end; the agent's id."""
    agent_id = scene.make_agent(name)
    scene.make_tasks(agent_id, [f"{name}-{n} calls={calls} pause=0.02" for n in range(5)])
    return agent_id


def assert_one_attempt_each(scene: Scene, agent_id: str) -> None:
    """Nothing was begun twice."""
    attempts = scene.attempts(agent_id)
    assert {(number, outcome) for _, number, _, outcome in attempts} == {(1, "succeeded")}
    assert len(attempts) == 5


def test_an_idle_worker_that_is_killed_is_not_missed(scene: Scene) -> None:
    rest(scene)

    before = scene.kill("worker")
    agent_id = run_some(scene, "idle")

    settled(scene)
    assert scene.has_restarted("worker", before)
    assert_one_attempt_each(scene, agent_id)


def test_a_scheduler_that_is_killed_rings_nothing_twice(scene: Scene) -> None:
    agent_id = run_some(scene, "clock", calls=3)

    before = scene.kill("scheduler")
    eventually(lambda: scene.has_restarted("scheduler", before))
    # Nobody rings for a row that was put there by hand: only the clock's sweep can find it.
    forgotten = scene.make_agent("forgotten")
    scene.api.post(f"/agents/{forgotten}/stop").raise_for_status()
    (task_id,) = scene.make_tasks(forgotten, ["forgotten-0 calls=0 pause=0"])
    scene.change(
        "UPDATE agents_agent SET status = 'idle', is_active = true WHERE id = %s", forgotten
    )
    eventually(lambda: scene.task(task_id)["status"] == "completed")

    settled(scene)
    assert_one_attempt_each(scene, agent_id)
    assert [number for _, number, _, _ in scene.attempts(forgotten)] == [1]


def test_a_post_that_is_cut_off_and_repeated_makes_one_task(scene: Scene) -> None:
    agent_id = scene.make_agent("posted")

    with visiting(scene, agent_id, "first") as first, visiting(scene, agent_id, "second") as second:
        for _ in range(2):
            scene.kill("web")
            enough = len(first.posted) + 3
            eventually(lambda: len(first.posted) > enough)  # noqa: B023 - called here alone

    settled(scene)
    posted = first.posted + second.posted
    titles = scene.rows("SELECT title FROM tasks_task WHERE agent_id = %s", agent_id)
    assert sorted(title for (title,) in titles) == sorted(posted)
    assert set(first.statuses + second.statuses) - {409} == {200, 201, GONE}


@contextmanager
def listening(scene: Scene) -> Iterator[list[int]]:
    """The sequences of all durable events that are published during the block, and until read."""
    heard: list[int] = []
    client = redis.Redis.from_url(scene.connection["REDIS_URL"])

    def hear(message: Any) -> None:
        sequence = json.loads(message["data"])[-1]
        if sequence is not None:
            heard.append(sequence)

    subscription = client.pubsub()  # type: ignore[no-untyped-call]  # as it ships
    subscription.subscribe(**{CHANNEL: hear})
    thread = subscription.run_in_thread(0.05, daemon=True)
    try:
        yield heard
    finally:
        thread.stop()
        thread.join()
        subscription.close()
        client.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_relay_that_is_killed_leaves_no_hole(scene: Scene, moment: str) -> None:
    """Between the commit and the publishing, and between that and the note that it was done."""
    rest(scene)
    first = scene.rows("SELECT max(sequence) FROM events_outboxevent")[0][0]
    (scene.folder / HOLD).write_text(moment)

    with listening(scene) as heard:
        agent_id = run_some(scene, moment)
        eventually((scene.folder / HELD).exists)
        pid, published = map(int, (scene.folder / HELD).read_text().split())
        assert bool(published) is (moment == "after")
        # What was published is on its way to whoever listens, no matter who dies now.
        eventually(lambda: len(heard) == published)
        told = list(heard)
        relay = scene.kill("worker")
        assert relay.pid == pid
        (scene.folder / HELD).unlink()
        (scene.folder / HOLD).unlink()
        rest(scene)
        last = scene.rows("SELECT max(sequence) FROM events_outboxevent")[0][0]
        eventually(lambda: bool(heard) and max(heard) == last)

    counted = Counter(heard)
    assert sorted(counted) == list(range(first + 1, last + 1))
    twice = {sequence for sequence, times in counted.items() if times > 1}
    # Whoever heard an event twice knows it by its number; the first time, all came in order.
    assert twice == set(told)
    assert list(counted) == sorted(counted)
    assert {outcome for *_, outcome in scene.attempts(agent_id)} <= {"succeeded", "lost"}
    settled(scene)
