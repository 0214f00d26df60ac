"""A stream tells everything once, and holds nothing when it is over, whatever breaks."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import OperationalError, connection

from accounts.models import User
from agents.models import Agent
from hub.embedded.redis import RedisServer
from hub.embedded.servers import Servers
from hub.front import history, protocol, watches
from hub.front.protocol import BoundedHttp
from tasks.models import Task
from tasks.operations import requests
from tests.accounts import factories as accounts
from tests.agents.factories import make_agent
from tests.hub.front import peer, sse
from tests.hub.front.peer import Front
from tests.hub.front.runs import Run, make_task
from tests.hub.front.test_server import web
from tests.hub.front.test_streams import WHOLE
from tests.tasks import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent(viewer: User) -> Agent:
    """An agent of the viewer's organization."""
    return make_agent(viewer.organization)


@pytest.fixture
def task(agent: Agent) -> Task:
    """A task that waits."""
    return make_task(agent)


def count(front: Front) -> int:
    assert front.watches is not None
    return len(front.watches)


def after_first_read(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Have something happen between the first look into the database and what follows it."""
    read, gate = history.read, threading.Lock()

    def held(**arguments: Any) -> history.Part:
        part = read(**arguments)
        if gate.acquire(blocking=False):
            then()
        return part

    monkeypatch.setattr(history, "read", held)


def test_what_happens_while_the_history_is_read_is_told(
    hasty: None, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LOOK_SECONDS", 60.0)
    run = Run(task)
    after_first_read(monkeypatch, lambda: run.turn("Hello."))

    with peer.running() as front, sse.watch(front, viewer, task) as stream:
        events = [stream.until("progress"), stream.until("turn")]

    assert [event.id for event in events] == ["1.0", "1.1"]


def test_a_task_that_ends_while_its_history_is_read_ends_the_stream(
    hasty: None, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LOOK_SECONDS", 60.0)
    after_first_read(monkeypatch, Run(task).whole)

    with peer.running() as front:
        events = sse.read(front, viewer, task)

    assert [event[:2] for event in events if event.data.get("attempt", 0)] == WHOLE[:-1]
    assert events[-1].name == "complete"


def test_without_redis_the_stream_still_tells_all_and_ends(
    mortal_redis: RedisServer, transactional_db: None, hasty: None, viewer: User, task: Task
) -> None:
    with peer.running() as front, sse.watch(front, viewer, task) as stream:
        stream.take(1)
        mortal_redis.stop()
        run = Run(task)
        run.turn("Let me look.")
        heard = stream.until("turn")
        run.call("a")
        run.result("a")
        run.end()
        rest = stream.rest()

    assert heard.id == "1.1"
    assert [event.name for event in sse.durable(rest)][-2:] == ["tool_result", "done"]
    assert rest[-1].name == "complete"


def test_a_cancel_is_heard_without_redis(
    mortal_redis: RedisServer, transactional_db: None, hasty: None, viewer: User, task: Task
) -> None:
    with peer.running() as front, sse.watch(front, viewer, task) as stream:
        stream.take(1)
        mortal_redis.stop()
        factories.act(requests.cancel_task, task)

        assert [event.name for event in stream.rest()] == ["error"]


def test_a_database_that_fails_for_a_while_costs_no_event(
    front: Front, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failures = history.read, iter(range(3))

    def stumble(**arguments: Any) -> history.Part:
        if next(failures, None) is not None:
            raise OperationalError
        return read(**arguments)

    Run(task).whole()
    monkeypatch.setattr(history, "read", stumble)

    assert [event[:2] for event in sse.read(front, viewer, task)] == WHOLE


def test_a_client_that_leaves_leaves_nothing_behind(front: Front, viewer: User, task: Task) -> None:
    with sse.watch(front, viewer, task) as stream:
        stream.take(1)
        during = count(front)

    assert during == 1
    sse.wait_until(lambda: count(front) == 0)
    assert front.watches is not None
    assert (front.watches._watches, front.watches._board._lines) == ({}, set())


def test_a_client_that_does_not_read_is_dropped(
    transactional_db: None,
    hasty: None,
    viewer: User,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.5)
    run, text, is_cut = Run(task), "x" * 50_000, cuts(monkeypatch)
    head = f"GET /api/v1/tasks/{task.pk}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    token = accounts.make_token(viewer)

    with peer.running() as front, socket.create_connection(("127.0.0.1", front.port)) as slow:
        slow.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        sse.wait_until(lambda: count(front) == 1)
        with sse.watch(front, viewer, task) as quick:
            quick.take(2)
            for _ in range(400):
                run.words(text)
                assert quick.take(1)[0].data["content"] == text
            run.end()
            rest = quick.rest()
        sse.wait_until(lambda: count(front) == 0)
        assert is_cut.wait(10)

    assert [event.name for event in rest] == ["done", "complete"]


def cuts(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the server cuts a connection off."""
    happened, cut = threading.Event(), BoundedHttp._cut

    def tell(connection: BoundedHttp) -> None:
        cut(connection)
        happened.set()

    monkeypatch.setattr(BoundedHttp, "_cut", tell)
    return happened


def test_a_queue_that_overflows_ends_the_stream(
    front: Front, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches.Watch, "next", lambda _: asyncio.sleep(60))
    run = Run(task)

    with sse.watch(front, viewer, task) as stream:
        stream.take(2)
        for _ in range(watches.QUEUED_WORDS + 1):
            run.words("word ")

        assert stream.rest() == []


def test_the_end_of_the_server_ends_streams_without_a_last_word(
    transactional_db: None, hasty: None, viewer: User, task: Task
) -> None:
    with peer.running() as front:
        opened = sse.watch(front, viewer, task)
        stream = opened.__enter__()
        stream.take(1)

    assert stream.rest() == []
    opened.__exit__(None, None, None)


def test_the_term_signal_does_not_wait_for_streams(
    servers: Servers, viewer: User, task: Task, tmp_path: Path
) -> None:
    with (
        web(servers, tmp_path / "web.log") as (front, process),
        sse.watch(front, viewer, task) as stream,
    ):
        stream.take(1)
        process.send_signal(signal.SIGTERM)

        assert stream.rest() == []
        assert process.wait(30) == 0
    assert "Cancel" not in (tmp_path / "web.log").read_text()


def test_two_hundred_watch_at_once(front: Front, viewer: User, task: Task) -> None:
    url = f"http://127.0.0.1:{front.port}/api/v1/tasks/{task.pk}/stream"
    heads = {"Authorization": f"Bearer {accounts.make_token(viewer)}"}

    async def watch(client: httpx.AsyncClient) -> list[str]:
        async with client.stream("GET", url, headers=heads) as response:
            return [line async for line in response.aiter_lines() if line.startswith("event:")]

    async def everybody() -> list[list[str]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            watching = [asyncio.create_task(watch(client)) for _ in range(200)]
            await asyncio.to_thread(sse.wait_until, lambda: count(front) == 200)
            await asyncio.to_thread(run_whole, task)
            return await asyncio.gather(*watching)

    heard = asyncio.run(everybody())

    told = [f"event: {name}" for name, _ in WHOLE]
    assert {tuple(line for line in lines if "progress" not in line) for lines in heard} == {
        tuple(line for line in told if "progress" not in line)
    }
    sse.wait_until(lambda: count(front) == 0)


def run_whole(task: Task) -> None:
    try:
        Run(task).whole()
    finally:
        connection.close()  # its thread ends, and nobody else would
