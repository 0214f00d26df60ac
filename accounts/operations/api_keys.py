"""API keys of people: made, shown once, revoked (contract 003 B17)."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.choices import API_KEYS, READ_SCOPE, WRITE_SCOPE
from accounts.errors import TooManyKeys
from accounts.models import ApiKey, User
from accounts.operations import callers
from accounts.selectors import keys
from audit import operations as audit
from kernel import permissions
from kernel.actors import Actor
from kernel.errors import Forbidden, Invalid, NotFound

SECRET_BYTES: Final = 32
SHOWN: Final = 12  # characters of a key by which its owner knows it again
MOST: Final = 50


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `key` is what its owner keeps, and exists nowhere else."""

    row: ApiKey
    key: str = field(repr=False)


@transaction.atomic
def create_key(
    *,
    user: User,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    actor: Actor,
    now: datetime,
) -> NewKey:
    """Make a key that acts for `user` within `scopes`.

    Raises Invalid for an unknown scope or an end in the past, Forbidden for a scope that the user
    does not hold, TooManyKeys.
    """
    wanted = _checked(user, scopes)
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "Send a moment in the future.")
    # Held to the end: two requests at once must not both find room.
    User.objects.select_for_update().get(pk=user.pk)
    alive = ApiKey.objects.filter(user=user, revoked_at=None)
    if alive.filter(Q(expires_at=None) | Q(expires_at__gt=now)).count() >= MOST:
        raise TooManyKeys
    key = keys.PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    row = ApiKey.objects.create(
        organization_id=user.organization_id,
        user=user,
        name=name,
        prefix=key[:SHOWN],
        key_hash=keys.hash_key(key),
        scopes=wanted,
        expires_at=expires_at,
        created_at=now,
    )
    details: dict[str, object] = {
        "name": name,
        "scopes": wanted,
        "expires_at": expires_at and expires_at.isoformat(),
    }
    _record(row, "api_key.create", actor, now, details)
    return NewKey(row, key)


@transaction.atomic
def revoke_key(*, organization_id: UUID, key_id: UUID, actor: Actor, now: datetime) -> None:
    """End a key with the next request. Twice is fine; raises NotFound."""
    row = ApiKey.objects.filter(organization_id=organization_id, pk=key_id).first()
    if row is None:
        raise NotFound
    if ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now):
        callers.forget(organization_id=organization_id)
        _record(row, "api_key.revoke", actor, now, {"name": row.name})


def _checked(user: User, scopes: Sequence[str]) -> list[str]:
    wanted = sorted(set(scopes))
    named = [scope for scope in wanted if scope not in {READ_SCOPE, WRITE_SCOPE}]
    grantable = permissions.catalogue().keys() - {API_KEYS}
    if unknown := [scope for scope in named if scope not in grantable]:
        sentence = f"`{unknown[0]}` is no scope: use `read`, `write` or a permission's key."
        raise Invalid.field("scopes", sentence, type="unknown")
    held = user.rights.everywhere.union(*(grant.permissions for grant in user.rights.scoped))
    if lacking := [scope for scope in named if scope not in held]:
        raise Forbidden(
            f"You do not hold `{lacking[0]}` yourself, so no key of yours can have it.",
            data={"permission": lacking[0]},
        )
    return wanted


def _record(
    row: ApiKey, action: str, actor: Actor, now: datetime, details: dict[str, object]
) -> None:
    audit.record(
        actor=actor,
        organization_id=row.organization_id,
        action=action,
        resource_type="api_key",
        resource_id=row.pk,
        details=details,
        now=now,
    )
