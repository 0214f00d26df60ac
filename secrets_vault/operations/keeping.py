"""Storing, rotating and deleting secrets."""

import re
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from audit import operations as audit
from kernel import ids, redaction, sealing
from kernel.actors import Actor
from kernel.errors import Invalid
from secrets_vault import choices
from secrets_vault.errors import SecretNameTaken, SecretNotFound
from secrets_vault.models import Secret, SecretVersion

_NAME: Final = re.compile(choices.NAME)


@transaction.atomic
def create_secret(
    *,
    organization_id: UUID,
    name: str,
    value: str,
    category: str = "",
    description: str = "",
    expires_at: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> Secret:
    """Store `value` under a new name. Raises SecretNameTaken, or Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid.field("name", choices.NAME_RULE)
    _check(value, expires_at, now)
    secret = Secret(
        organization_id=organization_id,
        name=name,
        category=category,
        description=description,
        expires_at=expires_at,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            secret.save(force_insert=True)
    except IntegrityError as error:
        if "secret_name_unique" in str(error):
            raise SecretNameTaken from None
        raise
    _add_version(secret, value, actor, now)
    _record(secret, "secret.create", actor, now)
    return secret


@transaction.atomic
def rotate_secret(
    *,
    organization_id: UUID,
    secret_id: UUID,
    value: str,
    expires_at: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> Secret:
    """Give it another value, used from now on. `expires_at` is the new one's end; None is none.

    Values of before stay sealed and are not used again. Raises SecretNotFound, or Invalid.
    """
    secret = _lock(organization_id, secret_id)
    _check(value, expires_at, now)
    secret.version += 1
    secret.expires_at = expires_at
    secret.rotated_at = secret.updated_at = now
    secret.save(update_fields=["version", "expires_at", "rotated_at", "updated_at"])
    _add_version(secret, value, actor, now)
    _record(secret, "secret.rotate", actor, now)
    return secret


@transaction.atomic
def delete_secret(*, organization_id: UUID, secret_id: UUID, actor: Actor, now: datetime) -> None:
    """Remove it with every value; what names it fails from now on. Raises SecretNotFound."""
    secret = _lock(organization_id, secret_id)
    _record(secret, "secret.delete", actor, now)
    secret.delete()
    redaction.forget(organization_id=organization_id)


def _check(value: str, expires_at: datetime | None, now: datetime) -> None:
    if not value:
        raise Invalid.field("value", "Send a value.", type="blank")
    if len(value.encode(errors="replace")) > choices.MOST_BYTES:
        raise Invalid.field("value", f"Send at most {choices.MOST_BYTES} bytes.")
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "Choose a time that is not over.")


def _lock(organization_id: UUID, secret_id: UUID) -> Secret:
    rows = Secret.objects.filter(organization_id=organization_id, pk=secret_id)
    secret = rows.select_for_update().first()
    if secret is None:
        raise SecretNotFound
    return secret


def _add_version(secret: Secret, value: str, actor: Actor, now: datetime) -> None:
    pk = ids.new()
    value = value.encode(errors="replace").decode()
    hasher = redaction.hasher_of(secret.organization_id)
    SecretVersion.objects.create(
        id=pk,
        organization_id=secret.organization_id,
        secret=secret,
        number=secret.version,
        sealed_value=sealing.seal(value.encode(), purpose=choices.PURPOSE, place=str(pk)),
        marks=[mark.dump() for mark in hasher.marks_of(value)],
        created_by=actor.label[:255],
        created_at=now,
        updated_at=now,
    )
    redaction.forget(organization_id=secret.organization_id)


def _record(secret: Secret, action: str, actor: Actor, now: datetime) -> None:
    details: dict[str, Any] = {"name": secret.name, "version": secret.version}
    audit.record(
        actor=actor,
        organization_id=secret.organization_id,
        action=action,
        resource_type="secret",
        resource_id=secret.pk,
        details=details,
        now=now,
    )
