"""The database backend: connections that ended are noticed, instants are read right."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, close_old_connections, connection, connections, transaction
from psycopg.pq import TransactionStatus

from accounts.models import Organization
from hub.embedded.servers import Servers
from kernel import tenancy
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


def ask(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    return row[0] if row else None


def status() -> TransactionStatus:
    return TransactionStatus(connection.connection.info.transaction_status)


@pytest.mark.parametrize("scope", ["nobody", "organization"])
def test_a_transaction_begins_with_its_first_statement_in_one_message(
    scope: str, servers: Servers
) -> None:
    organization_id = uuid4()
    within = tenancy.request() if scope == "nobody" else tenancy.organization(organization_id)
    pid = backend_pid()
    messages: list[str] = []

    def look() -> None:
        with psycopg.connect(servers.postgres.superuser_url, autocommit=True) as other:
            last = other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
            messages.append(str(last.fetchone()))

    with within, transaction.atomic():
        began = ask("SELECT transaction_timestamp()")
        look()
        assert status() is TransactionStatus.INTRANS
        assert ask("SELECT transaction_timestamp()") == began
        look()
        told = "" if scope == "nobody" else str(organization_id)
        assert ask("SELECT coalesce(current_setting('hub.scope', true), '')") == told

    assert "BEGIN;" in messages[0]
    assert "transaction_timestamp" in messages[0]
    assert "BEGIN" not in messages[1]
    assert status() is TransactionStatus.IDLE


@pytest.mark.parametrize("broken", ["SELEC 1", "SELECT 1/0", "SELECT FROM nothing_of_that_name"])
def test_a_first_statement_that_fails_leaves_no_transaction(broken: str) -> None:
    made = make_organization()

    with pytest.raises(DatabaseError), transaction.atomic():
        ask(broken)

    assert status() is TransactionStatus.IDLE
    with transaction.atomic():
        Organization.objects.filter(pk=made.pk).update(name="Undone")
        transaction.set_rollback(True)
    made.refresh_from_db()
    assert made.name != "Undone"


@pytest.mark.parametrize("broken", ["SELEC 1", "SELECT 1/0"])
def test_a_first_statement_that_fails_in_a_savepoint_leaves_the_rest(broken: str) -> None:
    made = make_organization()

    with transaction.atomic():
        with pytest.raises(DatabaseError), transaction.atomic():
            ask(broken)
        Organization.objects.filter(pk=made.pk).update(name="Kept")

    made.refresh_from_db()
    assert made.name == "Kept"


def test_a_transaction_of_another_kind_begins_as_asked() -> None:
    connection.ensure_connection()
    driver = connection.connection
    driver.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    try:
        with transaction.atomic():
            assert ask("SHOW transaction_isolation") == "serializable"
    finally:
        driver.isolation_level = None


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
