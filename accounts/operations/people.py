"""Making users and setting passwords, on the word of whoever runs commands on this machine."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.errors import EmailTaken
from accounts.models import Session, User
from accounts.operations import callers, grants
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid


@transaction.atomic
def create_user(
    *, organization_id: UUID, email: str, role: str, password: str, actor: Actor, now: datetime
) -> User:
    """Add a person. Raises EmailTaken, or Invalid for a weak password."""
    user = User(organization_id=organization_id, email=email)
    check_password(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise EmailTaken from None
    grants.give_first_role(user=user, role=role)
    _record(user, "user.create", actor, now, {"email": email, "role": role})
    return user


@transaction.atomic
def set_password(*, user: User, password: str, actor: Actor, now: datetime) -> None:
    """Set a new password and end every session of the user. Raises Invalid for a weak one."""
    check_password(password, user)
    user.set_password(password)
    user.updated_at = now
    user.save(update_fields=["password", "updated_at"])
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=now, updated_at=now)
    callers.forget(organization_id=user.organization_id)
    _record(user, "user.set_password", actor, now, {})


def check_password(password: str, user: User) -> None:
    """Raises Invalid with what the password lacks."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid.field("password", " ".join(error.messages)) from None


def _record(
    user: User, action: str, actor: Actor, now: datetime, details: dict[str, object]
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
