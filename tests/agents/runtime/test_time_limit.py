"""The time of a run, by a clock of the test's own."""

import asyncio
from typing import Any

import pytest
from pydantic_ai.messages import ToolCallPart

from agents.runtime import time_limit
from agents.runtime.journal import GRANTED, Verdict
from agents.runtime.time_limit import LEAST_SECONDS, TimeLimit
from agents.runtime.tool_calls import make_calls
from agents.runtime.tools import ToolRegistry
from agents.runtime.toolset import Toolset
from tests.agents.runtime.factories import CONTEXT, make_tool


class Clock:
    """What time it is."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_limit, "monotonic", clock)
    return clock


def test_it_ends(clock: Clock) -> None:
    limit = TimeLimit()
    limit.begin(10)

    clock.now += 4
    assert limit.left() == 6
    clock.now += 7
    assert limit.left() == 0


def test_it_stands_still_once_however_many_wait(clock: Clock) -> None:
    limit = TimeLimit()
    limit.begin(10)

    clock.now += 4
    with limit.stopped():
        clock.now += 100
        with limit.stopped():
            clock.now += 100
            assert limit.left() == 6
        clock.now += 100
    clock.now += 1

    assert limit.left() == 5


def test_it_does_not_stand_still_for_ever(clock: Clock) -> None:
    limit = TimeLimit()
    limit.begin(10)

    with limit.stopped():
        clock.now += 3609
        assert limit.left() == 1
        clock.now += 1
        assert limit.left() == 0


def test_it_stands_still_for_who_waits_for_it(clock: Clock) -> None:
    boss = TimeLimit()
    boss.begin(10)
    helper = TimeLimit(boss)
    helper.begin(5)

    with helper.stopped():
        clock.now += 100
    clock.now += 1
    with boss.stopped():
        clock.now += 3

    assert (boss.left(), helper.left()) == (9, 1)


def test_who_waits_for_its_end_is_kept_waiting_a_little(clock: Clock) -> None:
    limit = TimeLimit()
    limit.begin(10)

    clock.now += 10
    with limit.stopped():
        assert limit.left() == LEAST_SECONDS
    assert limit.left() == 0


def test_a_deadline_of_the_day_waits_for_nobody(clock: Clock) -> None:
    limit = TimeLimit(most=30)
    limit.begin(10)

    with limit.stopped():
        clock.now += 25
        assert limit.left() == 5
        clock.now += 6
        assert limit.left() == 0
    assert limit.left() == 0


def test_calls_go_on_while_time_stands_still(clock: Clock) -> None:
    """The timer was set for what was left when the wait began, and runs by another clock."""
    limit = TimeLimit()
    limit.begin(0.001)
    ended = asyncio.Event()

    async def wait(*_: Any) -> str:
        with limit.stopped():
            clock.now += 100
            await asyncio.wait_for(ended.wait(), 20)
        return "Here."

    async def call() -> list[Any]:
        tools = Toolset(ToolRegistry(), ["wait"], [make_tool("wait", wait)])
        part = ToolCallPart("wait", {"text": "x"}, "call-1")
        asyncio.get_running_loop().call_later(0.1, ended.set)
        outcomes = make_calls([part], tools, CONTEXT, time_limit=limit, begin=grant)
        return [outcome.result.result async for outcome in outcomes]

    async def grant(_: ToolCallPart) -> Verdict:
        return GRANTED

    assert asyncio.run(call()) == ["Here."]
