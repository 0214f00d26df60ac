"""Places of a worker process, given out in turn: to each task one, then to each another one."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext


class Places:
    """So many may hold one at once. For one event loop.

    A semaphore would serve who came first: one task that asks for many would hold up all others
    until each of its own had ended.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        # Tasks in the order in which they are served next, each with those of its own that wait.
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def taken(
        self, task: Hashable, waiting: AbstractContextManager[object] | None = None
    ) -> AsyncIterator[None]:
        """A place for as long as the block, and `waiting` until there is one; who waits can be
        cancelled."""
        with waiting or nullcontext():
            await self._take(task)
        try:
            yield
        finally:
            self._give()

    async def _take(self, task: Hashable) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give()  # it had come in the same moment
            raise

    def _give(self) -> None:
        while self._waiting:
            task, queue = next(iter(self._waiting.items()))
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(task)
            else:
                del self._waiting[task]
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._free += 1
