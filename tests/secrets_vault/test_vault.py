"""Secrets: kept, rotated, used, and shown nowhere."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from audit.models import AuditEvent
from kernel import clock
from kernel.actors import SYSTEM
from kernel.errors import DomainError, Invalid
from secrets_vault.errors import (
    SecretExpired,
    SecretNameTaken,
    SecretNotFound,
    SecretUnreadable,
)
from secrets_vault.models import Secret, SecretVersion
from secrets_vault.operations import keeping, opening
from tests.hub.console_rows import address, list_address
from tests.threads import race
from tests.tools.factories import make_secret

CANARY = "canary-5fe1c0"
SUBMITTED = {"_form_submitted": "on"}


def opened(organization: Organization, name: str = "weather_key", **how: Any) -> str:
    given = {"purpose": "tool:weather", "now": clock.now(), **how}
    return opening.open_secret(organization_id=organization.pk, name=name, **given)


def rotate(secret: Secret, value: str, **more: Any) -> Secret:
    return keeping.rotate_secret(
        organization_id=secret.organization_id,
        secret_id=secret.pk,
        value=value,
        actor=SYSTEM,
        now=clock.now(),
        **more,
    )


def test_the_newest_value_is_the_one_that_is_used(organization: Organization) -> None:
    secret = make_secret(organization)
    first = opened(organization)
    rotated = rotate(secret, "a newer one")

    assert (first, opened(organization)) == (CANARY, "a newer one")
    assert (rotated.version, SecretVersion.objects.count()) == (2, 2)


def test_another_organization_has_no_such_secret(
    organization: Organization, other_organization: Organization
) -> None:
    make_secret(other_organization)

    with pytest.raises(SecretNotFound):
        opened(organization)


def test_a_value_is_nowhere_in_the_database(organization: Organization) -> None:
    make_secret(organization)
    opened(organization)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(t::text, ' ') FROM secrets_vault_secretversion t"
            " UNION ALL SELECT string_agg(t::text, ' ') FROM audit_auditevent t"
        )
        text = str(cursor.fetchall())
    assert CANARY not in text
    assert CANARY.encode().hex() not in text


def test_a_value_opens_in_no_other_row(organization: Organization) -> None:
    make_secret(organization)
    make_secret(organization, name="other", value="another")
    one, other = SecretVersion.objects.order_by("pk")
    SecretVersion.objects.filter(pk=one.pk).update(sealed_value=other.sealed_value)

    with pytest.raises(SecretUnreadable):
        opened(organization)


def test_a_use_is_on_record_once_an_hour_for_each_version_and_purpose(
    organization: Organization,
) -> None:
    secret = make_secret(organization)
    now = clock.now()
    for minutes in (0, 1, 59, 61, 62):
        opened(organization, now=now + timedelta(minutes=minutes))
    opened(organization, purpose="tool:news", now=now)
    rotate(secret, "a newer one")
    opened(organization, now=now)

    rows = AuditEvent.objects.filter(action="secret.use").order_by("pk")
    assert [(row.details["version"], row.details["purpose"]) for row in rows] == [
        (1, "tool:weather"),
        (1, "tool:weather"),
        (1, "tool:news"),
        (2, "tool:weather"),
    ]


@pytest.mark.django_db(transaction=True)
def test_uses_at_once_leave_one_row(organization: Organization) -> None:
    make_secret(organization)

    found = race(*[lambda: opened(organization) for _ in range(4)])

    assert found == [CANARY] * 4
    assert AuditEvent.objects.filter(action="secret.use").count() == 1


def test_an_expired_secret_opens_for_nobody(organization: Organization) -> None:
    end = clock.now() + timedelta(hours=1)
    secret = make_secret(organization, expires_at=end)
    before = opened(organization, now=end - timedelta(seconds=1))
    with pytest.raises(SecretExpired):
        opened(organization, now=end)
    rotate(secret, "a newer one")

    assert (before, opened(organization, now=end)) == (CANARY, "a newer one")


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"name": "a name"}, Invalid),
        ({"name": "{x}"}, Invalid),
        ({"value": ""}, Invalid),
        ({"value": "x" * 64_001}, Invalid),
        ({"expires_at": clock.now() - timedelta(days=1)}, Invalid),
        ({"name": "taken"}, SecretNameTaken),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_kept_is_refused(
    organization: Organization, values: dict[str, Any], refusal: type[DomainError]
) -> None:
    make_secret(organization, name="taken")

    with pytest.raises(refusal):
        make_secret(organization, **values)

    assert Secret.objects.count() == 1


def test_a_deleted_secret_leaves_no_value(organization: Organization) -> None:
    secret = make_secret(organization)
    opened(organization)
    who: dict[str, Any] = {"organization_id": organization.pk, "actor": SYSTEM, "now": clock.now()}

    keeping.delete_secret(secret_id=secret.pk, **who)
    with pytest.raises(SecretNotFound):
        keeping.delete_secret(secret_id=secret.pk, **who)

    assert not SecretVersion.objects.exists()
    assert [row.action for row in AuditEvent.objects.order_by("pk")] == [
        "secret.create",
        "secret.use",
        "secret.delete",
    ]


def test_the_console_keeps_and_rotates_and_never_shows(
    client: Client, admin: User, organization: Organization
) -> None:
    client.force_login(admin)
    page = reverse("admin:secrets_vault_secret_create_secret")
    taken = {**SUBMITTED, "name": "weather_key", "value": CANARY, "expires_at": ""}

    client.post(page, taken)
    again = client.post(page, taken)
    secret = Secret.objects.get()
    client.post(
        address(Secret, secret.pk, "rotate_secret"),
        {**SUBMITTED, "value": " kept as it is ", "expires_at": "2099-01-31 12:00"},
    )
    shown = [
        client.get(list_address(Secret)).content.decode(),
        client.get(address(Secret, secret.pk)).content.decode(),
        again.content.decode(),
    ]

    assert opened(organization) == " kept as it is "
    assert "A secret of this name exists" in again.content.decode()
    assert not [text for text in shown if CANARY in text or "kept as it is" in text]
    client.post(address(Secret, secret.pk, "delete_secret"), SUBMITTED)
    assert not Secret.objects.exists()
