"""Blocking tools that hang or burn take neither the others' places nor the process with them."""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from agents.runtime.threads import BlockingCalls, ThreadsExhausted
from agents.runtime.tools import ToolFailed, ToolRegistry
from tests.agents.runtime.factories import CONTEXT, make_tool
from tests.conftest import repository


@pytest.fixture
def gate() -> Any:
    """What hanging calls wait for, until the test is over."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_outcomes_and_errors_come_back() -> None:
    calls = BlockingCalls()

    total = calls.submit(sum, [1, 2])
    broken = calls.submit(int, "x")

    assert total.result(10) == 3
    with pytest.raises(ValueError, match="invalid literal"):
        broken.result(10)


def test_no_more_run_at_once_than_there_are_places(gate: threading.Event) -> None:
    calls = BlockingCalls(running=2)
    begun = threading.Semaphore(0)

    def wait() -> None:
        begun.release()
        gate.wait(10)

    futures = [calls.submit(wait) for _ in range(5)]
    assert all(begun.acquire(timeout=10) for _ in range(2))

    assert [future.running() for future in futures] == [True, True, False, False, False]
    gate.set()
    assert [future.result(10) for future in futures] == [None] * 5


def test_a_call_that_waits_and_is_given_up_is_never_made(gate: threading.Event) -> None:
    calls = BlockingCalls(running=1)
    made: list[int] = []
    first = calls.submit(gate.wait, 10)
    second = calls.submit(made.append, 2)
    third = calls.submit(made.append, 3)

    calls.abandon(second)
    gate.set()

    assert (first.result(10), third.result(10), made) == (True, None, [3])


def test_hanging_calls_take_nobodys_place(gate: threading.Event) -> None:
    calls = BlockingCalls(running=2)

    for _ in range(3):
        hanging = [calls.submit(gate.wait, 60) for _ in range(2)]
        while not all(future.running() for future in hanging):
            time.sleep(0.001)
        for future in hanging:
            calls.abandon(future)
            calls.abandon(future)

    assert [calls.submit(str, number).result(10) for number in range(4)] == ["0", "1", "2", "3"]


def test_too_many_that_hang_are_refused_until_some_end(gate: threading.Event) -> None:
    calls = BlockingCalls(running=1, abandoned=2)
    for _ in range(2):
        hanging = calls.submit(gate.wait, 60)
        while not hanging.running():
            time.sleep(0.001)
        calls.abandon(hanging)

    with pytest.raises(ThreadsExhausted):
        calls.submit(str)
    gate.set()
    while calls._left < 2:
        time.sleep(0.001)

    assert calls.submit(str, 5).result(10) == "5"


def test_places_come_back_whatever_order_calls_end_in() -> None:
    calls = BlockingCalls(running=4, abandoned=1000)

    for number in range(500):
        future = calls.submit(time.sleep, 0.0001 * (number % 5))
        if number % 3 == 0:
            calls.abandon(future)
    while calls._calls or calls._free < 4:
        time.sleep(0.001)

    assert (calls._free, calls._left) == (4, 1000)


def test_tools_that_hang_leave_the_others_their_threads(gate: threading.Event) -> None:
    def hang(*_: Any) -> None:
        gate.wait(60)

    registry = ToolRegistry(
        [
            make_tool("hang", hang, timeout_seconds=0.05),
            make_tool("echo", lambda _context, arguments: arguments["text"]),
        ]
    )

    async def invoke(name: str) -> Any:
        return (await registry.invoke(name, CONTEXT, {"text": "x"})).value

    async def both() -> tuple[list[Any], Any]:
        hung = await asyncio.gather(*(invoke("hang") for _ in range(40)), return_exceptions=True)
        return hung, await invoke("echo")

    hung, echo = asyncio.run(both())

    assert [str(error) for error in hung] == ["The tool did not end within 0.05 s."] * 40
    assert echo == "x"


def test_calls_go_on_beside_tools_that_burn(gate: threading.Event) -> None:
    def burn(*_: Any) -> str:
        rounds = 0
        while not gate.is_set():
            rounds += 1
        return "burnt"

    registry = ToolRegistry([make_tool("burn", burn, timeout_seconds=100), make_tool()])

    async def invoke(name: str) -> Any:
        return (await registry.invoke(name, CONTEXT, {"text": "x"})).value

    async def together() -> list[Any]:
        burning = [asyncio.create_task(invoke("burn")) for _ in range(2)]
        answers = await asyncio.gather(*(invoke("shout") for _ in range(200)))
        gate.set()
        return [*answers, *await asyncio.gather(*burning)]

    assert asyncio.run(together()) == ["X"] * 200 + ["burnt"] * 2


def test_when_none_is_left_the_model_is_told(gate: threading.Event) -> None:
    registry = ToolRegistry([make_tool("hang", lambda *_: gate.wait(60), timeout_seconds=0.05)])
    registry._blocking = BlockingCalls(running=1, abandoned=1)

    async def twice() -> list[str]:
        told = []
        for _ in range(2):
            with pytest.raises(ToolFailed) as failure:
                await registry.invoke("hang", CONTEXT, {"text": "x"})
            told.append(str(failure.value))
        return told

    assert asyncio.run(twice()) == [
        "The tool did not end within 0.05 s.",
        "The tool cannot be used now: earlier calls of tools hang.",
    ]


def test_a_call_that_hangs_does_not_keep_its_process_from_ending() -> None:
    program = (
        "import threading\n"
        "from agents.runtime.threads import BlockingCalls\n"
        "begun = threading.Event()\n"
        "BlockingCalls().submit(lambda: begun.set() or threading.Event().wait())\n"
        "assert begun.wait(10)\n"
    )

    subprocess.run([sys.executable, "-c", program], cwd=repository(), timeout=60, check=True)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(), EOFError()])
@pytest.mark.parametrize("blocking", [True, False])
def test_whatever_a_tool_raises_the_loop_goes_on(error: BaseException, *, blocking: bool) -> None:
    def call(*_: Any) -> None:
        raise error

    async def call_on_loop(*_: Any) -> None:
        raise error

    tools = ToolRegistry([make_tool(name="leave", call=call if blocking else call_on_loop)])

    async def twice() -> list[str]:
        raised = []
        for _ in range(2):
            try:
                await tools.invoke("leave", CONTEXT, {"text": "x"})
            except Exception as told:  # noqa: BLE001 - what is raised is the question
                raised.append(type(told).__name__)
        return raised

    told = asyncio.run(asyncio.wait_for(twice(), 10))

    assert told == ["EOFError" if isinstance(error, EOFError) else "RuntimeError"] * 2


def test_a_tool_that_cancels_itself_has_failed_and_not_the_run() -> None:
    async def cancel(*_: Any) -> None:
        raise asyncio.CancelledError

    tools = ToolRegistry([make_tool(name="cancel", call=cancel)])

    with pytest.raises(RuntimeError, match="CancelledError"):
        asyncio.run(tools.invoke("cancel", CONTEXT, {"text": "x"}))
