"""Threads for tools that block: bounded, and not to be held up by a call that never ends."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

logger = logging.getLogger(__name__)
RUNNING: Final = 16
ABANDONED: Final = 64


class ThreadsExhausted(RuntimeError):
    """So many abandoned calls have not ended that no other is begun."""


@dataclass(slots=True, eq=False)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: Future[Any] = field(default_factory=Future)
    is_abandoned: bool = False


class BlockingCalls:
    """At most `running` calls at once; whoever gives one up has its place back.

    Python cannot end a thread. In a pool of the standard library, calls that hang would hold its
    places for ever, and the process at its end: here their threads are daemons and do not count.
    """

    def __init__(self, *, running: int = RUNNING, abandoned: int = ABANDONED) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._calls: dict[Future[Any], _Call] = {}
        self._free = running
        self._left = abandoned

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin the call when a place is free. Raises ThreadsExhausted."""
        call = _Call(function, arguments)
        with self._lock:
            if not self._left:
                raise ThreadsExhausted
            self._waiting.append(call)
            self._calls[call.future] = call
            self._begin()
        return call.future

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits for the outcome: a call that waits is not made, one that runs is left."""
        future.cancel()
        with self._lock:
            call = self._calls.get(future)
            if call is None or future.cancelled() or call.is_abandoned:
                return
            call.is_abandoned = True
            self._left -= 1
            left = self._left
            self._free += 1
            self._begin()
        logger.warning("agents.tool.abandoned", extra={"more_can_be": left})

    def _begin(self) -> None:
        """With the lock held: a thread for each free place, if calls wait."""
        for _ in range(min(self._free, len(self._waiting))):
            self._free -= 1
            threading.Thread(target=self._work, name="hub-tool", daemon=True).start()

    def _work(self) -> None:
        while call := self._next():
            _make(call)
            if self._is_over(call):
                return

    def _next(self) -> _Call | None:
        with self._lock:
            while self._waiting:
                call = self._waiting.popleft()
                if call.future.set_running_or_notify_cancel():
                    return call
                del self._calls[call.future]
            self._free += 1
            return None

    def _is_over(self, call: _Call) -> bool:
        """Whether this thread's place has been given to another."""
        with self._lock:
            del self._calls[call.future]
            self._left += call.is_abandoned
            return call.is_abandoned


def _make(call: _Call) -> None:
    try:
        outcome = call.function(*call.arguments)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        call.future.set_exception(contained(error))
    else:
        call.future.set_result(outcome)


def contained(error: BaseException) -> Exception:
    """`error`, or in its place one that an event loop survives.

    SystemExit and KeyboardInterrupt end the loop with all its runs; StopIteration is refused by
    futures, and a cancellation that nobody asked for reads as the end of the run.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
