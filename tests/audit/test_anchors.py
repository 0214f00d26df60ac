"""Hashes alone prove nothing: a chain is whole as far as the hub's own signatures attest it."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from accounts.models import Organization, User
from audit.models import AuditChain, AuditCheckpoint
from audit.selectors import chain
from audit.selectors.chain import CHECKPOINT_EVERY
from kernel import clock
from tests.audit.conftest import Tamper
from tests.audit.factories import record, seal
from tests.clients import ApiClient

ORGANIZATION = UUID(int=7)
Api = Callable[[User | None], ApiClient]
pytestmark = pytest.mark.django_db(transaction=True)


def fault() -> tuple[str, int | None] | None:
    found = chain.verify_recent(organization_id=ORGANIZATION, now=clock.now()).fault
    return (found.kind, found.position) if found else None


def as_the_hub(sql: str) -> None:
    """By the role that the processes use: no trigger refuses it."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.rowcount == 1


def test_a_time_that_is_still_to_come_does_not_stop_the_signing(tamper: Tamper) -> None:
    record(ORGANIZATION)
    seal()
    tamper("UPDATE audit_auditchain SET checkpointed_at = '2999-01-01'")

    before = fault()
    record(ORGANIZATION)
    seal()

    assert before == ("forged", 1)
    assert AuditCheckpoint.objects.filter(organization_id=ORGANIZATION).count() == 2
    assert AuditChain.objects.get().checkpointed_at is not None
    assert fault() is None


@pytest.mark.parametrize("value", ["'2999-01-01'", "NULL"])
def test_a_tail_that_waits_is_signed_all_the_same(tamper: Tamper, value: str) -> None:
    record(ORGANIZATION)
    seal()
    record(ORGANIZATION)
    seal()
    tamper(f"UPDATE audit_auditchain SET checkpointed_at = {value}")

    seal()

    positions = AuditCheckpoint.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        "checkpointed_at = now() + interval '9 min'",
        "checkpointed_at = now()",
        "checkpointed_at = NULL",
        "checkpointed_position = 2, checkpointed_at = now() + interval '2 min'",
    ],
)
def test_nobody_puts_the_next_signature_off(change: str) -> None:
    record(ORGANIZATION)
    seal()
    record(ORGANIZATION)
    seal()

    with pytest.raises(DatabaseError, match="a chain only grows"):
        as_the_hub(f"UPDATE audit_auditchain SET {change}")


@pytest.mark.parametrize("first", [1, 2, 3])
def test_rows_that_were_kept_from_being_signed_are_named(first: int) -> None:
    now = clock.now() - timedelta(minutes=30)
    for minute in range(3):
        at = now + timedelta(minutes=minute)
        record(ORGANIZATION, now=at)
        seal(now=at)

    def look(after: int) -> chain.Fault | None:
        at = now + timedelta(minutes=after)
        return chain.verify(organization_id=ORGANIZATION, now=at, first=first).fault

    unsigned = max(first, 2)  # the first row has the checkpoint
    found = look(unsigned + 20)

    assert look(unsigned + 18) is None
    assert found is not None
    assert (found.kind, found.position) == ("unanchored", unsigned)
    assert "attested by no checkpoint yet" in found.sentence


def test_a_checkpoint_that_the_head_only_claims_is_named() -> None:
    record(ORGANIZATION)
    seal()
    record(ORGANIZATION)
    seal()

    as_the_hub("UPDATE audit_auditchain SET checkpointed_position = 2")

    assert fault() == ("forged", 2)


def test_a_checkpoint_that_somebody_put_ahead_stops_nobodys_signing() -> None:
    record(ORGANIZATION)
    seal()
    record(ORGANIZATION)
    seal()
    as_the_hub(
        "INSERT INTO audit_auditcheckpoint"
        " (id, organization_id, position, hash, signed_at, key_id, signature)"
        " SELECT gen_random_uuid(), organization_id, position, hash, '2999-01-01', 'x', 'x'"
        " FROM audit_auditchain"
    )

    later = clock.now() + CHECKPOINT_EVERY
    seal(now=later)
    record(ORGANIZATION, now=later)
    seal(now=later + CHECKPOINT_EVERY)

    positions = AuditCheckpoint.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == [1, 2, 3]
    assert fault() == ("forged", 2)


def test_without_a_checkpoint_nothing_is_whole(tamper: Tamper) -> None:
    for _ in range(3):
        record(ORGANIZATION)
    seal()
    said = StringIO()
    tamper("DELETE FROM audit_auditcheckpoint")
    tamper("UPDATE audit_auditchain SET checkpointed_position = 0, checkpointed_at = NULL")

    verdict = chain.verify_recent(organization_id=ORGANIZATION, now=clock.now())
    with pytest.raises(CommandError, match="not whole"):
        call_command("verify_audit", stdout=said)

    assert (verdict.checked, verdict.is_whole) == (3, False)
    assert verdict.fault is not None
    assert (verdict.fault.kind, verdict.fault.position) == ("unanchored", 3)
    assert "rows 1 to 3 fit, but no checkpoint attests them" in verdict.fault.sentence
    assert "no checkpoint attests them" in said.getvalue()


def test_the_newest_rows_of_a_long_chain_need_one_among_them(
    tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "MOST", 4)
    monkeypatch.setattr(chain, "CHECKPOINT_ROWS", 2)
    for _ in range(10):
        record(ORGANIZATION)
        seal()
    signed = fault()
    for position in (7, 9):
        tamper(f"DELETE FROM audit_auditcheckpoint WHERE position = {position}")
    tamper("UPDATE audit_auditchain SET checkpointed_position = 5")

    verdict = chain.verify_recent(organization_id=ORGANIZATION, now=clock.now())

    assert signed is None
    assert verdict.fault is not None
    assert verdict.fault.kind == "unanchored"
    assert "rows 7 to 10 fit" in verdict.fault.sentence


def test_the_place_to_begin_at_must_be_signed_by_the_hub(
    tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "MOST", 4)
    monkeypatch.setattr(chain, "CHECKPOINT_ROWS", 2)
    for _ in range(10):
        record(ORGANIZATION)
        seal()
    tamper("UPDATE audit_auditcheckpoint SET signature = 'x' WHERE position = 7")

    found = chain.verify_recent(organization_id=ORGANIZATION, now=clock.now())

    assert found.first == 8
    assert found.fault is not None
    assert (found.fault.kind, found.fault.position) == ("forged", 7)


def test_a_few_rows_that_are_not_signed_yet_are_no_fault(
    api: Api, viewer: User, organization: Organization
) -> None:
    client = api(viewer).known()
    record(organization.pk)
    seal()
    record(organization.pk, now=clock.now() + timedelta(seconds=1))
    seal()
    head = AuditChain.objects.get(pk=organization.pk).position

    found = client.post("/api/v1/audit-events/verify", {"from_position": head}).json()

    assert (found["checked"], found["checkpoints"]) == (1, 0)
    assert (found["is_whole"], found["fault"]) == (True, None)
