"""Both servers together, as `up` and the tests use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.embedded import data_folder, postgres, redis
from hub.embedded.data_folder import Lock
from hub.embedded.postgres import PostgresServer
from hub.embedded.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers of one data folder and the lock that guards them."""

    postgres: PostgresServer
    redis: RedisServer
    lock: Lock


@contextmanager
def session(data_dir: Path) -> Iterator[Servers]:
    """Hold the folder's lock and run both servers for the time of the block.

    Raises DataFolderInUse, DataFolderUnusable or ServerDidNotStart.
    """
    with Lock(data_folder.make(data_dir)) as lock:
        cache = redis.start(data_dir)
        try:
            database = postgres.start(data_dir)
            try:
                yield Servers(database, cache, lock)
            finally:
                database.stop()
        finally:
            cache.stop()
