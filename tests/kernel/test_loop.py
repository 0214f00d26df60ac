"""One event loop for a process: it keeps what it was given and ends in time."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from kernel import loop
from kernel.loop import Loop
from tests.conftest import repository


@pytest.fixture
def running() -> Iterator[Loop]:
    """A loop of the test's own."""
    started = Loop()
    yield started
    started.stop(timeout=1)


async def name_of_thread() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise LookupError("lost")


def test_a_coroutine_runs_on_the_loops_thread(running: Loop) -> None:
    assert running.submit(name_of_thread()).result(5) == "hub-loop"


def test_waits_are_side_by_side(running: Loop) -> None:
    async def meet(own: asyncio.Event, other: asyncio.Event) -> bool:
        own.set()
        return await other.wait()

    first, second = asyncio.Event(), asyncio.Event()
    futures = [running.submit(meet(first, second)), running.submit(meet(second, first))]

    assert [future.result(5) for future in futures] == [True, True]


def test_an_error_reaches_the_caller_and_the_log(
    running: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LookupError, match="lost"):
        running.submit(fail()).result(5)

    running.submit(name_of_thread()).result(5)
    assert "kernel.loop.task_failed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_database_is_asked_from_another_thread(running: Loop) -> None:
    def ask() -> tuple[str, int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 + 1")
            found = cursor.fetchone()[0]
        return threading.current_thread().name, found

    async def through_the_loop() -> tuple[str, int]:
        return await running.in_database(ask)

    name, found = running.submit(through_the_loop()).result(5)

    assert name.startswith("hub-database")
    assert found == 2


def test_stopping_waits_for_what_ends_in_time() -> None:
    started = Loop()
    future = started.submit(asyncio.sleep(0.05, "done"))

    assert started.stop(timeout=5) is True
    assert future.result(1) == "done"


def test_stopping_cancels_what_does_not() -> None:
    started = Loop()
    cleaned = threading.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    future = started.submit(stubborn())
    started.submit(name_of_thread()).result(5)

    assert started.stop(timeout=0.05) is False
    assert cleaned.is_set()
    assert future.cancelled()


def test_a_process_has_one_loop_until_it_stops() -> None:
    first = loop.get()

    assert loop.get() is first
    assert loop.stop(timeout=1) is True
    assert loop.stop(timeout=1) is True
    assert loop.get() is not first
    assert loop.stop(timeout=1) is True


def test_a_process_does_not_outlive_its_loop() -> None:
    code = (
        "import sys, time\n"
        "from kernel import loop\n"
        "async def leave(): sys.exit(3)\n"
        "loop.get().submit(leave())\n"
        "time.sleep(30)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository(), timeout=30, check=False, capture_output=True
    )

    assert ended.returncode == os.EX_SOFTWARE


@pytest.mark.parametrize(
    ("held_up", "seconds", "ended"),
    [("re.match('(a+)+$', 'a' * 40 + 'b')", 0.6, 1), ("None", 3, 0)],
)
def test_a_process_whose_loop_is_held_up_ends(held_up: str, seconds: float, ended: int) -> None:
    """The pattern holds the interpreter's lock: no thread of Python could end it."""
    code = (
        "import re, time\n"
        "from kernel import loop\n"
        f"async def hold(): {held_up}\n"
        f"loop.get().end_when_stuck(seconds={seconds})\n"
        "loop.get().submit(hold())\n"
        "time.sleep(4)\n"
        "assert loop.stop(timeout=5)\n"
    )

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=repository(), timeout=60, check=False, capture_output=True
    )

    assert found.returncode == ended
    assert (b"in hold" in found.stderr) == bool(ended)


def test_what_is_kept_open_is_closed_after_what_ran() -> None:
    order: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        order.append("work")

    async def close() -> None:
        order.append("close")

    async def fail_to_close() -> None:
        raise LookupError("lost")

    started = Loop([fail_to_close, close])
    started.submit(work())

    assert started.stop(timeout=5)
    assert order == ["work", "close"]
