"""The hub serves as no role that may see everybody's rows."""

from collections.abc import Callable, Iterator

import pytest
from django.core.management.base import CommandError
from django.db import connections

from hub import database_role
from hub.embedded.servers import Servers
from hub.settings import database


@pytest.fixture
def connect(transactional_db: None, servers: Servers) -> Iterator[Callable[[str], None]]:
    """`connect(url)` lets this thread's connection be another."""
    connection = connections["default"]
    before, kept = dict(connection.settings_dict), connection.connection

    def change(url: str) -> None:
        connection.connection = None
        connection.settings_dict.update(database(url))

    yield change
    if connection.connection is not None and connection.connection is not kept:
        connection.connection.close()
    connection.connection = kept
    connection.settings_dict.clear()
    connection.settings_dict.update(before)


def test_the_hubs_own_role_may_serve(db: None) -> None:
    database_role.refuse_one_above_policies()


def test_a_superuser_may_not(connect: Callable[[str], None], servers: Servers) -> None:
    connect(servers.postgres.superuser_url)

    with pytest.raises(CommandError, match="above row-level security"):
        database_role.refuse_one_above_policies()


def test_a_database_that_is_away_stops_nobody(connect: Callable[[str], None]) -> None:
    connect("postgresql://hub@127.0.0.1:1/hub")

    database_role.refuse_one_above_policies()
