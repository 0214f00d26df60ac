"""The backend as Django loads it: `ENGINE = "kernel.postgres"`."""

import select
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg import ClientCursor
from psycopg.adapt import Buffer
from psycopg.pq import TransactionStatus

from kernel import tenancy

SET_SCOPE: Final = b"SET LOCAL hub.scope = '%s';"
SENT: Final = "_hub_scope"  # an attribute of psycopg's connection: it outlives its cursors


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


class ScopedCursor(ClientCursor[Any]):
    """Sends BEGIN and the scope of `kernel.tenancy` with a transaction's first statement, in one
    message.

    The setting is the transaction's and ends with it: a connection that is kept, or that a pooler
    gives to somebody else, carries nobody's scope. A statement outside of a transaction becomes one
    of two, which PostgreSQL runs in a transaction of their own (simple query protocol).
    PostgreSQL parses the whole message before it runs any of it: a first statement that cannot be
    parsed leaves no transaction rather than a failed one, and code that swallowed such an error
    inside of `atomic` would go on in a new transaction.
    """

    # Set while `execute` sends a transaction's first statement: the BEGIN before it.
    _begin = b""
    # How many of the last message's results, the first ones, are not those of the caller's.
    _prefixes = 0

    @property
    def _sent(self) -> str | None:
        """The scope that the open transaction was told."""
        return getattr(self._conn, SENT, None)

    @_sent.setter
    def _sent(self, scope: str | None) -> None:
        setattr(self._conn, SENT, scope)

    def execute(self, *arguments: Any, **options: Any) -> Any:
        """As psycopg's."""
        if self._pgconn.transaction_status != TransactionStatus.IDLE:
            return super().execute(*arguments, **options)
        self._sent = None  # with the last transaction
        if self._conn.autocommit:
            return super().execute(*arguments, **options)
        # psycopg would send it as a message of its own: a quarter of a short transaction's time.
        self._begin = self._conn._get_tx_start_command() + b";"  # noqa: SLF001 - has no other name
        self._conn._autocommit = True  # noqa: SLF001 - the public one is refused in a transaction
        try:
            return super().execute(*arguments, **options)
        finally:
            self._conn._autocommit = False  # noqa: SLF001 - as above
            self._begin = b""

    def executemany(self, *arguments: Any, **options: Any) -> None:
        """Not here: psycopg sends it as a pipeline, which takes one statement a message."""
        raise NotImplementedError("Use kernel.batches.")

    def _execute_send(self, query: Any, **options: Any) -> None:
        scope = self._unsent()
        first = SET_SCOPE % scope.encode() if scope is not None else b""
        self._prefixes = bool(self._begin) + bool(first)
        if not self._prefixes:
            super()._execute_send(query, **options)
            return
        self._query = query
        self._pgconn.send_query(self._begin + first + query.query)

    def _set_results(self, results: list[Any]) -> None:
        super()._set_results(results[self._prefixes :])

    def _unsent(self) -> str | None:
        """The scope that the server must be told before the next statement, if any."""
        scope = tenancy.scope()
        match self._pgconn.transaction_status:
            case TransactionStatus.IDLE:
                if self._begin:
                    self._sent = scope
                return scope or None
            case TransactionStatus.INTRANS if (self._sent or tenancy.NOBODY) != scope:
                self._sent = scope
                return scope
            case _:  # a failed transaction takes nothing but its end
                return None


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection of one thread."""

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with our cursors."""
        return {**super().get_connection_params(), "cursor_factory": ScopedCursor}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that reads instants quickly."""
        connection = super().get_new_connection(conn_params)
        if self.timezone is UTC:
            connection.adapters.register_loader("timestamptz", UtcLoader)
        return connection

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]  # the stubs leave it out
        setattr(self.connection, SENT, None)  # what was set inside of it is undone

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
