"""Passwords: what the policy asks of them, and every way to set one."""

import re
import secrets
import string
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.errors import PasswordRefused
from accounts.models import PastPassword, Session, User
from accounts.operations import callers, lockout
from accounts.operations.lockout import Attempt
from accounts.selectors.policy import Policy, get_policy
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid

MADE_UP: Final = 24
# Shorter parts of a name occur in good passwords by chance.
TELLING: Final = 4
CLASSES: Final = (
    ("password_require_uppercase", str.isupper, "a capital letter"),
    ("password_require_lowercase", str.islower, "a small letter"),
    ("password_require_digit", str.isdecimal, "a digit"),
    (
        "password_require_special",
        lambda sign: not sign.isalnum(),
        "a sign that is no letter or digit",
    ),
)


class PolicyValidator:
    """Django's kind of validator for the policy that the user's organization stored."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raises ValidationError with everything that is wrong; without a user: by the default."""
        if user is None:
            return
        policy = get_policy(organization_id=user.organization_id)
        wrong = [*_missing(password, policy), *_told(password, user)]
        if wrong:
            raise ValidationError(wrong)

    def get_help_text(self) -> str:
        """For Django's own forms, of which none is used."""
        return "Your password must meet the policy of your organization."


def check(*, password: str, user: User) -> None:
    """Raises Invalid with what the password lacks by the policy of the user's organization."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid.field("password", " ".join(error.messages), type="password") from None


@transaction.atomic
def set_password(*, user: User, password: str, actor: Actor, now: datetime) -> None:
    """Set a new password on somebody else's word and end every session of the user.

    Raises Invalid for a password that the policy refuses, one of the last ones too.
    """
    held = replace(user=user, password=password, is_temporary=False, now=now)
    user.password, user.updated_at = held.password, now
    _record(held, "user.set_password", actor, now)


def replace(*, user: User, password: str, is_temporary: bool, now: datetime) -> User:
    """The same without an audit row, for operations that have their own; the user as stored now.

    A temporary one is only good for choosing another.
    """
    held = User.objects.select_for_update().get(pk=user.pk)
    check(password=password, user=held)
    if is_known(user=held, password=password):
        raise Invalid.field("password", "This is one of the last passwords.", type="password")
    _store(held, password, now, is_temporary=is_temporary)
    _end_sessions(held, None, now)
    lockout.clear_all(user_id=held.pk)
    return held


def change_password(
    *,
    user: User,
    session_id: UUID,
    current_password: str,
    new_password: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Change one's own password; every other session of the user ends.

    Raises PasswordRefused whose fields are `current_password` or `new_password`, and AccountLocked
    after too many wrong present ones.
    """
    attempt = Attempt(user=user, session_id=session_id, actor=actor, now=now)
    if not lockout.confirm_password(attempt=attempt, password=current_password):
        raise _refused("current_password", "This is not your password.")
    _change(user, session_id, new_password, actor, now)


@transaction.atomic
def _change(user: User, session_id: UUID, password: str, actor: Actor, now: datetime) -> None:
    held = User.objects.select_for_update().get(pk=user.pk)
    try:
        validate_password(password, held)
    except ValidationError as error:
        raise _refused("new_password", " ".join(error.messages)) from None
    if is_known(user=held, password=password):
        raise _refused("new_password", "This is one of your last passwords. Choose another.")
    _store(held, password, now)
    _end_sessions(held, session_id, now)
    # With a second factor the count is of wrong codes too: it ends with a login that has both.
    if held.mfa_enabled_at is None:
        lockout.clear(user_id=held.pk)
    policy = get_policy(organization_id=held.organization_id)
    Session.objects.filter(pk=session_id).update(restriction=policy.restriction(held, now))
    _record(held, "user.change_password", actor, now)


def is_known(*, user: User, password: str) -> bool:
    """Whether it is the present password or one of the last ones that the policy remembers."""
    count = get_policy(organization_id=user.organization_id).password_history
    past = PastPassword.objects.filter(user=user).order_by("-created_at", "-pk")
    hashes = [user.password, *past.values_list("password", flat=True)[:count]][: max(count, 1)]
    return any(check_password(password, known) for known in hashes)


def make(*, length: int = MADE_UP) -> str:
    """A random password in groups of four that every policy accepts."""
    alphabet = string.ascii_letters + string.digits
    while True:
        signs = "".join(secrets.choice(alphabet) for _ in range(length))
        if all(any(map(kind, signs)) for kind in (str.isupper, str.islower, str.isdecimal)):
            return "-".join(re.findall("....", signs))


def upgrade(*, user: User, password: str) -> None:
    """Hash the right password anew, because the hub's parameters have changed since."""
    User.objects.filter(pk=user.pk, password=user.password).update(password=make_password(password))


def _missing(password: str, policy: Policy) -> Iterator[str]:
    if len(password) < policy.password_min_length:
        yield f"The password needs at least {policy.password_min_length} characters."
    for name, is_one, words in CLASSES:
        if getattr(policy, name) and not any(map(is_one, password)):
            yield f"The password needs {words}."


def _told(password: str, user: User) -> Iterator[str]:
    """Somebody who guesses begins with what is known of the person."""
    known = [user.email.partition("@")[0], *re.split(r"\W+", user.full_name)]
    said = password.casefold()
    if any(len(part) >= TELLING and part.casefold() in said for part in known):
        yield "The password must not hold your name or e-mail address."


def _store(user: User, password: str, now: datetime, *, is_temporary: bool = False) -> None:
    """The new one; the old one stays as a hash, so that it does not come back."""
    PastPassword.objects.create(
        organization_id=user.organization_id, user=user, password=user.password, created_at=now
    )
    past = PastPassword.objects.filter(user=user).order_by("-created_at", "-pk")
    PastPassword.objects.filter(pk__in=list(past.values_list("pk", flat=True)[24:])).delete()
    user.set_password(password)
    user.password_is_temporary = is_temporary
    user.password_changed_at = user.updated_at = now
    user.save(
        update_fields=["password", "password_is_temporary", "password_changed_at", "updated_at"]
    )


def _end_sessions(user: User, kept_id: UUID | None, now: datetime) -> None:
    others = Session.objects.filter(user=user, revoked_at=None).exclude(
        pk__in=[kept_id] if kept_id else []
    )
    others.update(revoked_at=now)
    callers.forget(organization_id=user.organization_id)


def _refused(field: str, message: str) -> PasswordRefused:
    fields: list[dict[str, Any]] = [{"field": field, "message": message, "type": "password"}]
    return PasswordRefused(fields=fields)


def _record(user: User, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action=action,
        resource_type="user",
        resource_id=user.pk,
        now=now,
    )
