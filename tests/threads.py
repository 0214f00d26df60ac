"""Real threads with real transactions, for races that are lost on purpose."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from django.db import connection, transaction

T = TypeVar("T")


def race(*contestants: Callable[[], Any]) -> list[Any]:
    """Start all at once; what each returned, or the exception that it raised, in their order."""
    start = threading.Barrier(len(contestants))
    outcomes: list[Any] = [None] * len(contestants)

    def compete(place: int, contestant: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            outcomes[place] = contestant()
        except Exception as error:  # noqa: BLE001 - the loser's refusal is what is looked at
            outcomes[place] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=copy_context().run, args=(compete, *pair))
        for pair in enumerate(contestants)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes


class Gate:
    """Holds a thread inside its transaction until the test lets it go on."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        """Stop here; called by the thread that is held."""
        self._reached.set()
        assert self._open.wait(20)

    def wait(self) -> None:
        """Until somebody stands at the gate."""
        assert self._reached.wait(20)

    def open(self) -> None:
        """Let them through."""
        self._open.set()


class Waiters:
    """How many of this database's sessions wait for a lock; lets a test wait until one does."""

    def wait_for(self, count: int) -> None:
        """Until `count` sessions stand behind a lock."""
        pause = threading.Event()
        for _ in range(400):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0] >= count:
                    return
            pause.wait(0.02)
        raise AssertionError(f"{count} sessions were expected to wait for a lock.")


def behind(
    holder: Callable[[], Any],
    *followers: Callable[[], Any],
    then: Callable[[], Any] = lambda: None,
) -> list[Any]:
    """Have `followers` wait one behind the other for what `holder` has locked, let it do what it
    does `then`, and commit; what each returned, or the exception that it raised."""
    gate, turns = Gate(), [threading.Event() for _ in followers]

    def hold() -> Any:
        with transaction.atomic():
            outcome = holder()
            gate()
            then()
        return outcome

    def follow(turn: threading.Event, follower: Callable[[], Any]) -> Any:
        assert turn.wait(20)
        return follower()

    def line_up() -> None:
        try:
            gate.wait()
            for place, turn in enumerate(turns, start=1):
                turn.set()
                Waiters().wait_for(place)
        finally:
            gate.open()
            for turn in turns:
                turn.set()

    *outcomes, lined_up = race(
        hold, *[partial(follow, *each) for each in zip(turns, followers, strict=True)], line_up
    )
    assert lined_up is None, f"Somebody did not wait: {outcomes}"
    return outcomes


class Pool(ThreadPoolExecutor):
    """Threads that work in the scope of whoever asks them (`kernel.tenancy`)."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Django's connections are each thread's own; the context is not."""
        return super().submit(copy_context().run, fn, *args, **kwargs)
