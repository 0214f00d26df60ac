"""Redis and PostgreSQL that end in the middle of the work and come back."""

import signal
import time
from collections.abc import Callable
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from hub.embedded import processes
from tests.faults.effects.relay import HELD, HOLD
from tests.faults.scene import Scene, eventually, settled, written_once
from tests.faults.visitor import visiting

RUNS: Final = 10
CALLS: Final = 3
AWAY_SECONDS: Final = 2.0


def begin(scene: Scene, name: str) -> str:
    """An agent with runs in flight."""
    agent_id = scene.make_agent(name)
    titles = [f"{name}-{number} calls={CALLS} pause=0.1" for number in range(RUNS)]
    scene.make_tasks(agent_id, titles)
    eventually(lambda: len(scene.lines(name)) > RUNS / 2)
    return agent_id


def end(
    scene: Scene, server: str, number: signal.Signals, until: Callable[[], bool] = lambda: True
) -> None:
    """Signal a server and keep it away, for a while and until somebody noticed.

    The supervisor must wait before it brings it back.
    """
    pid = processes.find_server(scene.folder / server)
    assert pid
    scene.hub.process.send_signal(signal.SIGSTOP)
    try:
        process = psutil.Process(pid)
        process.send_signal(number)
        # It has ended, and nobody has looked at it yet.
        eventually(lambda: bool(process.status() == psutil.STATUS_ZOMBIE))
        time.sleep(AWAY_SECONDS)
        eventually(until)
    finally:
        scene.hub.process.send_signal(signal.SIGCONT)
    eventually(lambda: processes.find_server(scene.folder / server) not in {pid, None})


def assert_done_once(scene: Scene, agent_id: str, name: str) -> None:
    """Every run completed, no line written twice, none missing but those nobody can know of."""
    written_once(scene, agent_id, name, RUNS * CALLS)
    done = "SELECT DISTINCT status FROM tasks_task WHERE agent_id = %s"
    assert scene.rows(done, agent_id) == [("completed",)]


def test_redis_that_comes_back_empty_costs_nothing(scene: Scene) -> None:
    agent_id = begin(scene, "redis")
    worker = scene.hub.member("worker")

    with visiting(scene, agent_id, "caller") as visitor:
        # A message is in hand when the connection is lost: not even that ends the worker.
        (scene.folder / HOLD).write_text("before")
        eventually((scene.folder / HELD).exists)
        end(scene, "redis", signal.SIGKILL)
        (scene.folder / HOLD).unlink()
        before = len(visitor.posted)
        eventually(lambda: len(visitor.posted) > before + 5)

    settled(scene)
    assert scene.hub.member("worker") == worker
    assert_done_once(scene, agent_id, "redis")
    assert set(visitor.statuses) == {200, 201}, visitor.bodies
    assert {outcome for *_, outcome in scene.attempts(agent_id)} == {"succeeded"}


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "fast"), (signal.SIGKILL, "killed")],
)
def test_while_postgres_is_away_requests_are_refused_and_runs_go_on_after(
    scene: Scene, number: signal.Signals, name: str
) -> None:
    agent_id = begin(scene, name)

    with visiting(scene, agent_id, f"{name}caller") as visitor:
        end(scene, "postgres", number, lambda: visitor.statuses[503] > 0)
        before = len(visitor.posted)
        eventually(lambda: len(visitor.posted) > before + 5)

    settled(scene)
    assert_done_once(scene, agent_id, name)
    assert set(visitor.statuses) == {200, 201, 503}, visitor.bodies
    posted = scene.rows("SELECT title FROM tasks_task WHERE title LIKE %s", f"{name}caller-%")
    assert sorted(title for (title,) in posted) == sorted(visitor.posted)
