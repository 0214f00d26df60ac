"""One asyncio event loop per process, on a thread of its own.

A worker's model calls all wait here at once; blocking work goes to threads. Celery's threads only
hand over (`docs/decisions/0002`), so a run never holds one of them.
"""

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

import structlog
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from kernel.connections import fresh

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
DATABASE_THREADS: Final = 8
Closing: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
# What the process's loop closes at its end: connections that are kept open.
CLOSING: Final[list[Closing]] = []
CLOSING_SECONDS: Final = 5
BEATS: Final = 6

_lock = threading.Lock()
_running: "Loop | None" = None


class Loop:
    """An event loop in a background thread, and the threads that speak to the database for it."""

    def __init__(self, closing: Sequence[Closing] = ()) -> None:
        """`closing` is awaited before it ends, after what ran on it."""
        self._loop = asyncio.new_event_loop()
        self._closing = closing
        self._connections: list[BaseDatabaseWrapper] = []
        self._database = ThreadPoolExecutor(
            DATABASE_THREADS,
            thread_name_prefix="hub-database",
            initializer=lambda: self._connections.append(connections["default"]),
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._beating: Future[None] | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="hub-loop", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start `coroutine` from any thread; the future gives its outcome."""
        return asyncio.run_coroutine_threadsafe(self._keep(coroutine), self._loop)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start `coroutine` from the loop's own thread."""
        # The loop holds tasks weakly; a run without this reference can vanish in mid-air.
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def end_when_stuck(self, *, seconds: float) -> None:
        """End the process, with where each thread is on standard error, once the loop has not
        turned for so long: whoever started the process starts another one.

        The clock runs outside of the interpreter, whose lock may be what holds up the loop (a
        pattern that never ends). Lines of code are written, no values.
        """
        # No run: nobody waits for its end when the process drains.
        self._beating = asyncio.run_coroutine_threadsafe(self._beat(seconds), self._loop)

    async def _beat(self, seconds: float) -> None:
        while not self._ending:
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
            await asyncio.sleep(seconds / BEATS)

    async def in_database(
        self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await a blocking call that uses the ORM, on a thread with its own connection.

        It has the caller's context: the scope of `kernel.tenancy`, and what the log is told.
        """
        call = partial(_with_fresh_connection, partial(function, *args, **kwargs))
        call = partial(copy_context().run, call)
        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    def stop(self, *, timeout: float) -> bool:
        """Wait up to `timeout` seconds for what runs, then cancel the rest; True if all ended."""
        done = asyncio.run_coroutine_threadsafe(self._drain(timeout), self._loop).result()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._ending = True
        if self._beating is not None:
            self._beating.cancel()
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()
            faulthandler.cancel_dump_traceback_later()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._database.shutdown()  # the interpreter would wait for its threads anyway
        for connection in self._connections:
            connection.inc_thread_sharing()  # its own thread has ended
            connection.close()
        return done

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
            if not self._ending:
                # Without its loop this process would claim runs and lose them all.
                log.critical("kernel.loop.ended")
                os._exit(os.EX_SOFTWARE)

    async def _keep(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await self.start(coroutine)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Callers hand over and go; without this line their coroutine's bug is never seen.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("kernel.loop.task_failed", exc_info=error)

    async def _drain(self, timeout: float) -> bool:
        if not self._tasks:
            return True
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
        return not late

    async def _close(self) -> None:
        closing = [asyncio.ensure_future(close()) for close in self._closing]
        if not closing:
            return
        done, late = await asyncio.wait(closing, timeout=CLOSING_SECONDS)
        for task in late:
            task.cancel()
        for error in filter(None, (task.exception() for task in done)):
            log.error("kernel.loop.close_failed", exc_info=error)


def get() -> Loop:
    """The process's loop, started on first use."""
    global _running  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _running is None:
            _running = Loop(CLOSING)
        return _running


def stop(*, timeout: float) -> bool:
    """Drain and end the process's loop, if it ever started; True if nothing was cut off."""
    global _running
    with _lock:
        loop, _running = _running, None
    return loop.stop(timeout=timeout) if loop else True


def _with_fresh_connection(call: Callable[[], T]) -> T:
    with fresh():
        return call()
