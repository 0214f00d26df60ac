"""Making users, and changing what they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Model

from accounts.errors import EmailTaken, OwnAccount
from accounts.models import Session, User
from accounts.operations import grants, guards, passwords
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import NotFound

COLUMNS: Final = ("full_name", "is_active")


def create_user(
    *,
    organization_id: UUID,
    email: str,
    role: str,
    password: str,
    actor: Actor,
    now: datetime,
    full_name: str = "",
    giver: User | None = None,
) -> User:
    """Add a person who holds `role` everywhere.

    Raises EmailTaken, Invalid for a weak password or an unknown role, or Escalation if the role
    permits what `giver` does not hold (None: the operator of this machine, who may give anything).
    """
    user = User(organization_id=organization_id, email=email, full_name=full_name)
    passwords.check(password=password, user=user)
    user.set_password(password)
    with guards.changing_rights(organization_id=organization_id):
        _insert(user)
        grants.give_first_role(user=user, role=role, giver=giver)
        details = {"email": email, "full_name": full_name, "role": str(role)}
        _record(user, "user.create", actor, now, details)
    return user


def create_vouched_user(
    *, organization_id: UUID, email: str, full_name: str, actor: Actor, now: datetime
) -> User:
    """Add a person without a password and without a role: somebody else vouches for them.

    Raises EmailTaken.
    """
    user = User(organization_id=organization_id, email=email, full_name=full_name)
    user.set_unusable_password()
    with guards.changing_rights(organization_id=organization_id):
        _insert(user)
        _record(user, "user.create", actor, now, {"email": email, "full_name": full_name})
    return user


@transaction.atomic
def update_user(
    *,
    organization_id: UUID,
    user_id: UUID,
    values: Mapping[str, Any],
    giver: User | None,
    actor: Actor,
    now: datetime,
) -> User:
    """Change `full_name`, `is_active` and `role` as far as `values` has them.

    A disabled person's sessions end at once, and their API keys open nothing until they are enabled
    again. A role replaces those that they hold everywhere. Raises NotFound, LastHolder, OwnAccount
    for disabling oneself, Escalation for another role or state of somebody who may do more than
    `giver` too, or Invalid for an unknown role. What is as it was leaves no trace.
    """
    with guards.changing_rights(organization_id=organization_id) as change:
        user = User.objects.filter(organization_id=organization_id, pk=user_id).first()
        if user is None:
            raise NotFound
        changes = differing(user, {name: values[name] for name in COLUMNS if name in values})
        before = {name: getattr(user, name) for name in changes}
        after = dict(changes)
        if "is_active" in changes:
            guards.check_reach(giver=giver, user=user)
        if "role" in values and grants.hold_only(
            user=user, role=values["role"], giver=giver, actor=actor, now=now
        ):
            after["role"] = values["role"]
        if not after:
            change.is_empty = True
            return user
        for name, value in changes.items():
            setattr(user, name, value)
        user.updated_at = now
        user.save(update_fields=[*changes, "updated_at"])
        if before.get("is_active") and not user.is_active:
            Session.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
        _record(user, "user.update", actor, now, {"before": before, "after": after})
    # After the guard: the last who may steer is told so. A slip would lock out whoever makes it.
    if "is_active" in changes and giver is not None and giver.pk == user.pk:
        raise OwnAccount("This is your own account: ask another administrator to disable it.")
    return user


def differing(row: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that `row` does not have yet."""
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def _insert(user: User) -> None:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise EmailTaken from None


def _record(
    user: User, action: str, actor: Actor, now: datetime, details: Mapping[str, object]
) -> None:
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action=action,
        resource_type="user",
        resource_id=user.pk,
        details=details,
        now=now,
    )
