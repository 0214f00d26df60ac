"""The database backend: connections that ended are noticed, instants are read right."""

from datetime import UTC, datetime

import psycopg
import pytest
from django.db import close_old_connections, connection, connections

from accounts.models import Organization
from hub.embedded.servers import Servers
from kernel.postgres.base import DatabaseWrapper
from tests.accounts.factories import make_organization

pytestmark = pytest.mark.django_db(transaction=True)


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def begin_request() -> None:
    """What Django does before each request, in a process that keeps its connections."""
    close_old_connections()


def test_the_hub_runs_on_it() -> None:
    assert isinstance(connections["default"], DatabaseWrapper)


def test_a_silent_connection_is_kept() -> None:
    connection.close()  # an old one would be replaced for its age
    before = backend_pid()

    begin_request()

    assert connection.is_usable()
    assert backend_pid() == before


def test_a_connection_that_the_server_ended_is_replaced(servers: Servers) -> None:
    before = backend_pid()
    with psycopg.connect(servers.postgres.superuser_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])

    assert not connection.is_usable()
    begin_request()

    assert backend_pid() != before


def test_a_notice_does_not_end_a_connection(servers: Servers) -> None:
    before = backend_pid()
    with connection.cursor() as cursor:
        cursor.execute("LISTEN something")
    with psycopg.connect(servers.postgres.superuser_url, autocommit=True) as other:
        other.execute("NOTIFY something")

    assert connection.is_usable()
    assert backend_pid() == before


def test_a_closed_connection_is_not_usable() -> None:
    connection.ensure_connection()
    connection.connection.close()

    assert not connection.is_usable()
    connection.close()


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 5, 4, 12, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_as_it_went(instant: datetime) -> None:
    made = make_organization()
    Organization.objects.filter(pk=made.pk).update(created_at=instant)

    read = Organization.objects.get(pk=made.pk).created_at

    assert read == instant
    assert read.tzinfo is UTC
