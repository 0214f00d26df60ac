"""The backend as Django loads it: `ENGINE = "kernel.postgres"`."""

import select
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg.adapt import Buffer


class UtcLoader(BaseTzLoader):  # type: ignore[misc]  # the stubs know no psycopg 3
    """Django's loader of instants, with a shorter way for those that Python can read itself.

    `timezone` tells Django that it need not bring a loader of its own.
    """

    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        """The instant in a text of PostgreSQL's; raises what Django's loader raises."""
        with suppress(ValueError):  # before Christ, infinity
            found = datetime.fromisoformat(bytes(data).decode())
            if found.tzinfo is UTC:
                return found
        slowly: datetime = super().load(data)
        return slowly


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection of one thread."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that reads instants quickly."""
        connection = super().get_new_connection(conn_params)
        if self.timezone is UTC:
            connection.adapters.register_loader("timestamptz", UtcLoader)
        return connection

    def is_usable(self) -> bool:
        """Whether the connection kept from the last request is good.

        A server that ended it has said so: then there is something to read, and the query that
        Django sends for each request finds out what. Silence costs no query.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()
