"""The app's role cannot seal in the sealer's place, nor lead a chain's head astray."""

from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import User
from audit import operations
from audit.models import AuditChain, AuditEvent
from kernel import clock
from tests.accounts.factories import make_actor

pytestmark = pytest.mark.django_db


def test_no_row_is_born_sealed() -> None:
    event = AuditEvent(
        organization_id=uuid4(), actor_type="system", action="x", resource_type="x", position=1
    )

    with pytest.raises(DatabaseError, match="only the sealer seals"), transaction.atomic():
        event.save(force_insert=True)


@pytest.mark.parametrize(
    "change", ["position = position + 100", "hash = 'x'", "position = position - 1"]
)
def test_the_head_points_at_a_sealed_row(admin: User, change: str) -> None:
    operations.record(
        actor=make_actor(admin),
        organization_id=admin.organization_id,
        action="x.y",
        resource_type="x",
        now=clock.now(),
    )
    operations.seal_events(now=clock.now())
    before = AuditChain.objects.get(pk=admin.organization_id)

    with (
        pytest.raises(DatabaseError, match="a chain only grows"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE audit_auditchain SET {change}")

    assert AuditChain.objects.get(pk=admin.organization_id).hash == before.hash


def seal_some(user: User, count: int = 3) -> AuditChain:
    for _ in range(count):
        operations.record(
            actor=make_actor(user),
            organization_id=user.organization_id,
            action="x.y",
            resource_type="x",
            now=clock.now(),
        )
    operations.seal_events(now=clock.now())
    return AuditChain.objects.get(pk=user.organization_id)


@pytest.mark.parametrize("gap", [1, 999_999_999])
def test_the_head_leaps_over_nothing(admin: User, gap: int) -> None:
    head = seal_some(admin)
    operations.record(
        actor=make_actor(admin),
        organization_id=admin.organization_id,
        action="x.y",
        resource_type="x",
        now=clock.now(),
    )
    leap = head.position + 1 + gap
    AuditEvent.objects.filter(position=None).update(
        position=leap, previous_hash=head.hash, hash="deadbeef", hash_version=2
    )

    with pytest.raises(DatabaseError, match="a chain only grows"), transaction.atomic():
        AuditChain.objects.filter(pk=head.pk).update(position=leap, hash="deadbeef")


def test_the_head_follows_only_its_own_hash(admin: User) -> None:
    head = seal_some(admin)
    operations.record(
        actor=make_actor(admin),
        organization_id=admin.organization_id,
        action="x.y",
        resource_type="x",
        now=clock.now(),
    )
    following = head.position + 1
    AuditEvent.objects.filter(position=None).update(
        position=following, previous_hash="deadbeef", hash="beefdead", hash_version=2
    )

    with pytest.raises(DatabaseError, match="a chain only grows"), transaction.atomic():
        AuditChain.objects.filter(pk=head.pk).update(position=following, hash="beefdead")


@pytest.mark.parametrize(
    "change",
    [
        "checkpointed_position = position + 1",
        "checkpointed_position = -1",
    ],
)
def test_no_checkpoint_is_pretended_ahead(admin: User, change: str) -> None:
    seal_some(admin)

    with (
        pytest.raises(DatabaseError, match="a chain only grows"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE audit_auditchain SET {change}")
