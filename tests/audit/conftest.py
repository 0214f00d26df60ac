"""Somebody who owns the database server, and old rows."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from audit.models import AuditChain, AuditCheckpoint, AuditEvent
from audit.selectors import chain
from hub.embedded.servers import Servers

Tamper = Callable[[str], None]


@pytest.fixture
def tamper(servers: Servers) -> Iterator[Tamper]:
    """`tamper(sql)` as somebody who owns the database server: no trigger stops a replica."""
    with psycopg.connect(servers.postgres.superuser_url, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        yield lambda sql: _changed(session.execute(sql))


def _changed(cursor: Any) -> None:
    assert cursor.rowcount == 1


@pytest.fixture
def age(tamper: Tamper) -> Callable[[], None]:
    """`age()` seals every row anew in the first way, as before there was another."""

    def seal_in_the_first_way() -> None:
        tip = ""
        for event in AuditEvent.objects.order_by("position"):
            event.hash_version = 1
            position = event.position or 0
            found = chain.hash_event(event, previous_hash=tip, position=position)
            tamper(
                f"UPDATE audit_auditevent SET hash_version = 1, previous_hash = '{tip}',"
                f" hash = '{found}' WHERE id = '{event.pk}'"
            )
            tip = found
        tamper(f"UPDATE audit_auditchain SET hash = '{tip}'")
        for checkpoint in AuditCheckpoint.objects.all():
            tamper(f"DELETE FROM audit_auditcheckpoint WHERE id = '{checkpoint.pk}'")
        assert AuditChain.objects.get().hash == tip

    return seal_in_the_first_way
