"""Using secrets: the one place where a value leaves the vault."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from audit import operations as audit
from kernel import redaction, sealing
from kernel.actors import SYSTEM
from kernel.sealing import SealBroken
from secrets_vault import choices
from secrets_vault.errors import SecretExpired, SecretNotFound, SecretUnreadable
from secrets_vault.models import Secret, SecretUse, SecretVersion


def open_secret(*, organization_id: UUID, name: str, purpose: str, now: datetime) -> str:
    """The value as it is now. `purpose` names who uses it, such as `tool:weather`.

    A use is on record once an hour for each version and purpose: a tool that is called a thousand
    times must not bury the trail. Raises SecretNotFound, SecretExpired or SecretUnreadable.
    """
    secret = Secret.objects.filter(organization_id=organization_id, name=name).first()
    if secret is None:
        raise SecretNotFound(f"The vault has no secret {name[:64]!r}. Store it there first.")
    if secret.has_expired(now=now):
        raise SecretExpired(f"The secret {name} has expired. Rotate it.")
    version = SecretVersion.objects.get(secret=secret, number=secret.version)
    try:
        value = sealing.unseal(
            bytes(version.sealed_value), purpose=choices.PURPOSE, place=str(version.pk)
        ).decode()
    except SealBroken:
        raise SecretUnreadable from None
    # Whoever has it in hand may show it by accident: the log, and the run that uses it.
    redaction.note_opened(value)
    redaction.load(organization_id)
    _note(secret, purpose[:128], now)
    return value


def _note(secret: Secret, purpose: str, now: datetime) -> None:
    uses = SecretUse.objects.filter(secret=secret, number=secret.version, purpose=purpose)
    if uses.filter(recorded_at__gt=now - choices.USE_EVERY).exists():
        return
    with transaction.atomic():
        made = SecretUse(
            organization_id=secret.organization_id,
            secret=secret,
            number=secret.version,
            purpose=purpose,
            recorded_at=now,
            created_at=now,
            updated_at=now,
        )
        SecretUse.objects.bulk_create([made], ignore_conflicts=True)
        # Of those who come at once one writes the row, whoever made it.
        is_mine = uses.filter(pk=made.pk).exists()
        late = uses.filter(recorded_at__lte=now - choices.USE_EVERY)
        if is_mine or late.update(recorded_at=now, updated_at=now):
            audit.record(
                actor=SYSTEM,
                organization_id=secret.organization_id,
                action="secret.use",
                resource_type="secret",
                resource_id=secret.pk,
                details={"name": secret.name, "version": secret.version, "purpose": purpose},
                now=now,
            )
