"""Signed checkpoints: written in time, never changed, checked with every walk along the chain."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from accounts.models import Organization, User
from audit.models import AuditChain, AuditCheckpoint, AuditEvent, AuditKey
from audit.selectors import chain, checkpoints
from audit.selectors.chain import CHECKPOINT_EVERY
from kernel import clock
from tests.audit.conftest import Tamper
from tests.audit.factories import record, seal
from tests.clients import ApiClient

ORGANIZATION = UUID(int=7)
EVENTS = "/api/v1/audit-events"
OTHER_SECRET = "another secret key that is long enough"
Api = Callable[[User | None], ApiClient]
pytestmark = pytest.mark.django_db


def positions() -> list[int]:
    rows = AuditCheckpoint.objects.filter(organization_id=ORGANIZATION).order_by("position")
    return list(rows.values_list("position", flat=True))


def verify(*, now: datetime | None = None) -> chain.Verdict:
    return chain.verify(organization_id=ORGANIZATION, now=now or clock.now())


def test_a_checkpoint_follows_time_or_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "CHECKPOINT_ROWS", 3)
    now = clock.now() - timedelta(minutes=30)
    written = []

    for count, later in ((1, 0), (1, 1), (2, 2), (1, 3), (0, 12), (0, 30)):
        for _ in range(count):
            record(ORGANIZATION, now=now)
        seal(now=now + timedelta(minutes=later))
        written.append(positions())

    assert written == [[1], [1], [1, 4], [1, 4], [1, 4, 5], [1, 4, 5]]
    head = AuditChain.objects.get(pk=ORGANIZATION)
    assert (head.checkpointed_position, head.checkpointed_at) == (5, now + timedelta(minutes=12))
    verdict = verify(now=now + timedelta(minutes=30))
    assert (verdict.checked, verdict.checkpoints, verdict.fault) == (5, 3, None)


def test_rows_that_waited_long_for_their_seal_are_signed_at_once() -> None:
    now = clock.now() - timedelta(minutes=30)
    record(ORGANIZATION, now=now)
    seal(now=now)

    record(ORGANIZATION, now=now + timedelta(minutes=1))
    seal(now=now + timedelta(minutes=9))
    fresh = positions()
    record(ORGANIZATION, now=now + timedelta(minutes=2))
    record(ORGANIZATION, now=now + timedelta(minutes=12))
    seal(now=now + timedelta(minutes=12))

    assert (fresh, positions()) == ([1], [1, 4])


def test_a_clock_ahead_of_the_databases_stops_no_signing() -> None:
    record(ORGANIZATION)
    seal(now=clock.now() + timedelta(minutes=5))

    head = AuditChain.objects.get(pk=ORGANIZATION)
    assert positions() == [1]
    assert head.checkpointed_at is not None
    assert head.checkpointed_at <= clock.now()


def test_a_checkpoint_attests_the_row_and_all_before() -> None:
    record(ORGANIZATION)
    seal()

    checkpoint = AuditCheckpoint.objects.get()
    keys = checkpoints.public_keys()

    assert checkpoint.hash == AuditEvent.objects.get(position=1).hash
    assert checkpoints.is_genuine(checkpoint, keys=keys)
    for name in ("organization_id", "position", "hash", "signed_at", "signature", "key_id"):
        value = getattr(checkpoint, name)
        altered = AuditCheckpoint.objects.get()
        setattr(altered, name, value + timedelta(1) if name == "signed_at" else str(value)[::-1])
        assert not checkpoints.is_genuine(altered, keys=keys), name


def test_a_new_secret_signs_anew_and_the_old_signatures_hold() -> None:
    record(ORGANIZATION)
    seal()
    with override_settings(SECRET_KEY=OTHER_SECRET):
        record(ORGANIZATION)
        seal(now=clock.now() + CHECKPOINT_EVERY)

        assert verify().fault is None
        assert verify().checkpoints == 2
        assert len(checkpoints.list_keys()) == 2
    assert len({checkpoint.key_id for checkpoint in AuditCheckpoint.objects.all()}) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change", ["signature = 'x'", "signed_at = signed_at + interval '1 s'", "key_id = 'unknown'"]
)
def test_a_forged_checkpoint_is_named(tamper: Tamper, change: str) -> None:
    record(ORGANIZATION)
    record(ORGANIZATION)
    seal()

    tamper(f"UPDATE audit_auditcheckpoint SET {change}")

    found = verify().fault
    assert found is not None
    assert (found.kind, found.position) == ("forged", 2)


@pytest.mark.django_db(transaction=True)
def test_a_chain_that_was_hashed_anew_does_not_match_its_checkpoint(tamper: Tamper) -> None:
    record(ORGANIZATION)
    seal()
    event = AuditEvent.objects.get()
    event.action = "task.forge"
    forged = chain.hash_event(event, previous_hash="", position=1)

    tamper(f"UPDATE audit_auditevent SET action = 'task.forge', hash = '{forged}'")
    tamper(f"UPDATE audit_auditchain SET hash = '{forged}'")

    found = verify().fault
    assert found is not None
    assert (found.kind, found.position) == ("forged", 1)


@pytest.mark.django_db(transaction=True)
def test_a_key_that_somebody_put_there_signs_nothing(tamper: Tamper) -> None:
    record(ORGANIZATION)
    seal()
    with override_settings(SECRET_KEY=OTHER_SECRET):
        foreign = checkpoints.current_key()

    tamper(
        "INSERT INTO audit_auditkey (key_id, public_key, created_at)"
        f" SELECT 'imposter', '\\x{foreign.raw.hex()}', now()"
    )

    assert set(checkpoints.public_keys()) == {checkpoints.current_key().key_id}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditcheckpoint SET signature = 'x'",
        "DELETE FROM audit_auditcheckpoint",
        "TRUNCATE audit_auditcheckpoint",
        "UPDATE audit_auditkey SET public_key = '\\x00'",
        "DELETE FROM audit_auditkey",
        "UPDATE audit_auditevent SET status = 'denied'",
        "UPDATE audit_auditevent SET hash_version = 1",
        "INSERT INTO audit_auditcheckpoint (id, organization_id, position, hash, signed_at, key_id,"
        " signature) SELECT gen_random_uuid(), organization_id, 99, hash, now(), 'x', 'x'"
        " FROM audit_auditchain",
    ],
)
def test_the_hub_itself_cannot_rewrite_what_it_signed(sql: str) -> None:
    record(ORGANIZATION)
    seal()

    refusal = pytest.raises(DatabaseError, match=r"is refused|permission denied")
    with refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert verify().fault is None


def test_no_row_is_sealed_in_the_first_way_any_more() -> None:
    event = record(ORGANIZATION)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.filter(pk=event.pk).update(position=1, hash="x")


@pytest.mark.django_db(transaction=True)
def test_old_rows_and_new_ones_are_one_chain(age: Callable[[], None], tamper: Tamper) -> None:
    record(ORGANIZATION)
    record(ORGANIZATION)
    seal()
    age()
    record(ORGANIZATION)
    seal(now=clock.now() + CHECKPOINT_EVERY)

    assert [event.hash_version for event in AuditEvent.objects.order_by("position")] == [1, 1, 2]
    assert verify().fault is None
    tamper("UPDATE audit_auditevent SET status = 'denied' WHERE position = 1")
    found = verify().fault
    assert found is not None
    assert (found.kind, found.position) == ("broken", 1)


# --- the API --------------------------------------------------------------------------------


def ask(client: ApiClient, **body: Any) -> dict[str, Any]:
    answer = client.post(f"{EVENTS}/verify", body)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_verdict_over_the_api(api: Api, viewer: User, organization: Organization) -> None:
    client = api(viewer)
    for _ in range(3):
        record(organization.pk)
    seal()
    head = AuditChain.objects.get(pk=organization.pk).position

    found = ask(client)

    assert found == {
        "is_whole": True,
        "from_position": 1,
        "checked": head,
        "checkpoints": 1,
        "head_position": head,
        "next_position": None,
        "fault": None,
    }
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.resource) == ("audit.verify", f"audit:{organization.pk}")
    assert event.details == {"from_position": 1, "checked": head, "fault": None}


def test_a_long_chain_is_verified_in_steps(
    api: Api, viewer: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "MOST", 4)
    monkeypatch.setattr(chain, "PAGE", 3)
    monkeypatch.setattr(chain, "CHECKPOINT_ROWS", 2)
    client = api(viewer).known()
    while AuditEvent.objects.filter(organization_id=organization.pk).count() < 10:
        record(organization.pk)
        seal()

    newest, first, second = ask(client), ask(client, from_position=1), ask(client, from_position=5)
    last = ask(client, from_position=9)

    assert newest["from_position"] == 7  # behind the checkpoint at 6
    assert (newest["checked"], newest["next_position"]) == (4, None)
    assert (first["checked"], first["next_position"]) == (4, 5)
    assert (second["checked"], second["next_position"]) == (4, 9)
    assert (last["checked"], last["next_position"], last["is_whole"]) == (2, None, True)


@pytest.mark.parametrize("value", [0, -1, "x", 2**63, 10**30])
def test_a_place_that_cannot_be_is_named(api: Api, viewer: User, value: Any) -> None:
    answer = api(viewer).post(f"{EVENTS}/verify", {"from_position": value})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "from_position"
    assert api(viewer).post(f"{EVENTS}/verify", {"from_position": 2**40}).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_a_fault_over_the_api(
    api: Api, viewer: User, organization: Organization, tamper: Tamper
) -> None:
    client = api(viewer)
    event = record(organization.pk)
    seal()
    tamper(f"UPDATE audit_auditevent SET action = 'x' WHERE id = '{event.pk}'")
    event.refresh_from_db()

    found = ask(client)

    assert found["is_whole"] is False
    assert found["fault"] == {
        "kind": "broken",
        "position": event.position,
        "event_id": str(event.pk),
        "detail": f"Row {event.pk} at position {event.position} does not match its hash: it was"
        " altered.",
    }


def test_keys_and_checkpoints_are_shown(
    api: Api, viewer: User, stranger: User, organization: Organization
) -> None:
    record(organization.pk)
    seal()
    key, checkpoint = checkpoints.current_key(), AuditCheckpoint.objects.get()

    shown = api(viewer).get(f"{EVENTS}/public-key").json()
    (listed,) = api(viewer).get(f"{EVENTS}/checkpoints").json()["items"]

    one = {
        "key_id": key.key_id,
        "algorithm": "Ed25519",
        "public_key": key.text,
        "public_key_pem": key.pem,
        "is_current": True,
    }
    assert shown == {**one, "keys": [one]}
    assert (listed["position"], listed["hash"]) == (checkpoint.position, checkpoint.hash)
    assert (listed["key_id"], listed["signature"]) == (key.key_id, checkpoint.signature)
    assert api(stranger).get(f"{EVENTS}/checkpoints").json()["items"] == []
    assert AuditKey.objects.get().pk == key.key_id
