"""The chain: sealed in order, append-only, and any tampering named."""

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit import operations
from audit.models import AuditChain, AuditEvent
from audit.selectors import chain
from kernel import clock
from kernel.actors import SYSTEM, Actor
from tests.audit.conftest import Tamper
from tests.threads import race

ORGANIZATION = UUID(int=7)
pytestmark = pytest.mark.django_db(transaction=True)


def record(count: int = 1, organization_id: UUID | None = ORGANIZATION, **more: Any) -> None:
    for number in range(count):
        operations.record(
            actor=Actor(type="user", id="1", label="Ada", ip_address="10.0.0.1", request_id="r"),
            organization_id=organization_id,
            action="task.create",
            resource_type="task",
            resource_id=number,
            details={"number": number, "title": "ü", "ratio": 0.1},
            **{"now": clock.now(), **more},
        )


def seal() -> int:
    return operations.seal_events(now=clock.now())


def verify() -> chain.Verdict:
    return chain.verify(organization_id=ORGANIZATION, now=clock.now())


def checked() -> tuple[int, chain.Fault | None]:
    verdict = verify()
    return verdict.checked, verdict.fault


def fault() -> tuple[str, int | None]:
    found = verify().fault
    assert found is not None
    return found.kind, found.position


def test_events_are_sealed_in_their_order() -> None:
    record(3)
    sealed = seal()
    record(2)

    assert (sealed, seal(), seal()) == (3, 2, 0)
    events = list(AuditEvent.objects.order_by("pk"))
    assert [event.position for event in events] == [1, 2, 3, 4, 5]
    assert [event.previous_hash for event in events] == ["", *[e.hash for e in events[:-1]]]
    head = AuditChain.objects.get()
    assert (head.position, head.hash) == (5, events[-1].hash)
    assert checked() == (5, None)


def test_each_organization_has_its_chain() -> None:
    record(2)
    record(1, organization_id=None)
    record(1, organization_id=uuid4())

    assert seal() == 4
    positions = AuditEvent.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == [1, 1, 1, 2]
    verdicts = list(chain.verify_all(now=clock.now()))
    assert [(v.checked, v.fault) for v in verdicts] == [(1, None), (2, None), (1, None)]
    assert verdicts[0].organization_id == chain.PLATFORM


def test_a_batch_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 2)
    monkeypatch.setattr(chain, "PAGE", 2)
    record(5)

    assert seal() == 5
    assert verify().checked == 5


def test_an_empty_chain_is_whole() -> None:
    assert checked() == (0, None)
    assert list(chain.verify_all(now=clock.now())) == []


def test_the_outcome_is_part_of_the_transaction() -> None:
    with transaction.atomic():
        record()
        transaction.set_rollback(True)

    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditevent SET action = 'x'",
        "UPDATE audit_auditevent SET position = 9, hash = 'x'",
        "UPDATE audit_auditevent SET position = NULL",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "UPDATE audit_auditchain SET position = 0",
        "DELETE FROM audit_auditchain",
        "TRUNCATE audit_auditchain",
    ],
)
def test_the_hub_itself_cannot_rewrite_history(sql: str) -> None:
    record()
    seal()

    refusal = pytest.raises(DatabaseError, match=r"is refused|permission denied")
    with refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert checked() == (1, None)


def test_an_unsealed_event_takes_a_seal_and_nothing_else() -> None:
    record()

    with pytest.raises(DatabaseError, match="append-only"):
        AuditEvent.objects.update(position=1, hash="x", action="y")

    assert seal() == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor_id", "'2'"),
        ("actor_label", "'Eve'"),
        ("action", "'task.delete'"),
        ("resource_id", "'9'"),
        ("details", """'{"number": 9}'"""),
        ("ip_address", "'10.0.0.2'"),
        ("request_id", "'s'"),
        ("occurred_at", "occurred_at + interval '1 microsecond'"),
        ("hash", "'0'"),
        ("previous_hash", "'0'"),
    ],
)
def test_an_altered_row_is_named(tamper: Tamper, column: str, value: str) -> None:
    record(3)
    seal()

    tamper(f"UPDATE audit_auditevent SET {column} = {value} WHERE position = 2")

    verdict = verify()
    event = AuditEvent.objects.get(position=2)
    assert verdict.checked == 1
    assert verdict.fault is not None
    assert (verdict.fault.kind, verdict.fault.position, verdict.fault.event_id) == (
        "broken",
        2,
        event.pk,
    )
    assert str(event.pk) in verdict.fault.sentence


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_removed_row_is_named(tamper: Tamper, position: int) -> None:
    record(3)
    seal()

    tamper(f"DELETE FROM audit_auditevent WHERE position = {position}")

    assert fault() == ("missing", position)


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("UPDATE audit_auditchain SET hash = 'x'", 3),
        ("UPDATE audit_auditchain SET position = 2", 2),
        ("UPDATE audit_auditchain SET position = 4", 4),
        ("DELETE FROM audit_auditchain", 3),
    ],
)
def test_an_altered_head_is_noticed(tamper: Tamper, sql: str, position: int) -> None:
    record(3)
    seal()

    tamper(sql)

    assert fault() == ("missing" if position == 4 else "broken", position)


def test_a_row_that_nobody_sealed_is_named() -> None:
    record()
    seal()
    record(2, now=clock.now() - timedelta(minutes=2))
    record()

    found = verify().fault

    first = AuditEvent.objects.filter(position=None).order_by("pk")[0]
    assert found is not None
    assert (found.kind, found.event_id) == ("unsealed", first.pk)


def test_a_row_that_waits_for_the_sealer_is_no_fault() -> None:
    record()

    assert checked() == (0, None)


def test_the_command_says_whole_or_fails(tamper: Tamper) -> None:
    record(2)
    record(1, organization_id=None)
    seal()
    whole, broken = StringIO(), StringIO()

    call_command("verify_audit", stdout=whole)
    tamper(
        f"UPDATE audit_auditevent SET action = 'x' WHERE organization_id = '{UUID(int=0)}'"
        " AND position = 1"
    )
    with pytest.raises(CommandError, match=r"1 chain\(s\) are not whole") as refused:
        call_command("verify_audit", stdout=broken)

    assert refused.value.returncode == 1
    assert whole.getvalue() == f"{UUID(int=0)}: 1 rows, whole\n{ORGANIZATION}: 2 rows, whole\n"
    assert "does not match its hash: it was altered." in broken.getvalue().splitlines()[0]


def test_recorders_and_sealers_at_once_leave_a_whole_chain() -> None:
    def recorder() -> None:
        for _ in range(40):
            with transaction.atomic():
                record()

    def sealer() -> None:
        for _ in range(30):
            seal()

    def auditor() -> None:
        for _ in range(30):
            assert verify().fault is None

    assert race(recorder, recorder, sealer, sealer, auditor) == [None] * 5
    seal()
    assert checked() == (80, None)


def test_the_system_has_no_id() -> None:
    operations.record(
        actor=SYSTEM,
        organization_id=None,
        action="hub.start",
        resource_type="hub",
        now=clock.now(),
    )

    event = AuditEvent.objects.get()
    assert (event.actor_type, event.actor_id, event.organization_id) == ("system", "", UUID(int=0))
    assert (event.details, event.ip_address) == ({}, None)
