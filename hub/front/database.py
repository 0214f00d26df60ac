"""The event loop's way to the database: a few threads that keep their connections."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Final, ParamSpec, TypeVar

from kernel.connections import fresh

P = ParamSpec("P")
T = TypeVar("T")
THREADS: Final = 4

_threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="front-database")


async def ask(question: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a blocking call that uses the ORM, in the caller's scope (`kernel.tenancy`)."""
    call = partial(_with_fresh_connection, partial(question, *args, **kwargs))
    call = partial(copy_context().run, call)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)


def _with_fresh_connection(call: Callable[[], T]) -> T:
    with fresh():
        return call()
