"""Database connections outside of requests, kept and checked as Django does between requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections, connection


@contextmanager
def fresh() -> Iterator[None]:
    """For the time of one piece of work on this thread: no connection that broke or is too old."""
    if connection.in_atomic_block:  # the caller's: Django would close it under its transaction
        yield
        return
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
