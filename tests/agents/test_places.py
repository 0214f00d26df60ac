"""Places that tasks take in turn."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from agents.operations.places import Places


def served(asked: Sequence[str], number: int = 1) -> list[str]:
    """Who got a place in which order, each holding it for a moment."""
    order: list[str] = []

    async def hold(places: Places, task: str) -> None:
        async with places.taken(task):
            order.append(task)
            await asyncio.sleep(0)

    async def run() -> None:
        places = Places(number)
        await asyncio.gather(*(hold(places, task) for task in asked))

    asyncio.run(run())
    return order


def test_one_that_asks_for_many_holds_nobody_up() -> None:
    assert "".join(served("aaaaabbc")) == "aabcabaa"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
    st.integers(1, 3),
    st.sets(st.integers(0, 11)),
)
def test_no_more_than_there_are_and_none_is_lost(
    asked: list[tuple[str, int]], number: int, given_up: set[int]
) -> None:
    held, most = 0, 0

    async def hold(places: Places, task: str, steps: int) -> None:
        nonlocal held, most
        async with places.taken(task):
            held += 1
            most = max(most, held)
            for _ in range(steps):
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    held -= 1
                    raise
            held -= 1

    async def run() -> int:
        places = Places(number)
        tasks = [asyncio.ensure_future(hold(places, *each)) for each in asked]
        for turn, task in enumerate(tasks):
            await asyncio.sleep(0)
            if turn in given_up:
                task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        return places._free

    assert asyncio.run(run()) == number
    assert most <= number
