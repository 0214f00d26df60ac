"""Second factors: enrolled, taken away, renewed (contract 003 B1)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp
import segno
from django.db import transaction

from accounts.errors import MfaAlreadyEnabled, MfaNotEnabled, PasswordRefused
from accounts.models import Session, TotpDevice, User
from accounts.operations import callers, factors, lockout, sessions
from accounts.operations.lockout import Attempt
from accounts.selectors.policy import get_policy
from audit import operations as audit
from kernel import ids
from kernel.actors import Actor

ISSUER: Final = "Agent Hub"


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What an authenticator needs, to be shown once; the pictures are `data:` addresses."""

    secret: str = field(repr=False)
    otpauth_url: str = field(repr=False)
    qr_code: str = field(repr=False)
    qr_code_png: str = field(repr=False)


@transaction.atomic
def begin(*, user: User, actor: Actor, now: datetime) -> Enrollment:
    """A new secret; logging in stays as it is until `confirm`. Raises MfaAlreadyEnabled."""
    held = _hold(user)
    if held.mfa_enabled_at is not None:
        raise MfaAlreadyEnabled
    secret, device_id = pyotp.random_base32(), ids.new()
    factors.remove(user=held)
    TotpDevice.objects.create(
        pk=device_id,
        organization_id=held.organization_id,
        user=held,
        sealed_secret=factors.seal_secret(secret, device_id=device_id),
        created_at=now,
    )
    _record(held, "mfa.setup", actor, now)
    return _enrollment(secret, held.email)


def find_enrollment(*, user: User) -> Enrollment | None:
    """The one that was begun and not confirmed, to show it again to its owner."""
    device = TotpDevice.objects.filter(user=user, user__mfa_enabled_at=None).first()
    secret = factors.open_secret(device) if device else None
    return _enrollment(secret, user.email) if secret else None


def confirm(
    *, user: User, session_id: UUID | None, code: str, actor: Actor, now: datetime
) -> list[str]:
    """Turn the second factor on with a code of the new authenticator; answers the backup codes.

    Raises CodeRefused, MfaNotEnabled before `begin`, MfaAlreadyEnabled after it was confirmed.
    """
    if not TotpDevice.objects.filter(user_id=user.pk).exists():
        raise MfaNotEnabled
    if user.mfa_enabled_at is not None:
        raise MfaAlreadyEnabled
    attempt = Attempt(user=user, session_id=session_id, actor=actor, now=now)
    lockout.confirm_code(attempt=attempt, code=code)
    return _turn_on(user, session_id, actor, now)


def disable(
    *,
    user: User,
    password: str,
    code: str,
    actor: Actor,
    now: datetime,
    session_id: UUID | None = None,
) -> None:
    """Turn it off. Raises PasswordRefused, CodeRefused, MfaNotEnabled and AccountLocked."""
    attempt = Attempt(user=user, session_id=session_id, actor=actor, now=now)
    _confirm_both(attempt, password, code)
    _turn_off(user, "mfa.disable", actor, now)


def renew_backup_codes(
    *,
    user: User,
    password: str,
    code: str,
    actor: Actor,
    now: datetime,
    session_id: UUID | None = None,
) -> list[str]:
    """New backup codes; those of before are gone. Raises what `disable` raises."""
    attempt = Attempt(user=user, session_id=session_id, actor=actor, now=now)
    _confirm_both(attempt, password, code)
    return _renew(user, actor, now)


@transaction.atomic
def reset(*, user: User, actor: Actor, now: datetime) -> None:
    """Take the second factor from somebody who lost it, and end their sessions.

    Whoever asks has proved nothing, so the next login begins from the password. Whether they may
    ask is not looked at here: `operations.recovery` does, for administrators.
    """
    _turn_off(user, "user.reset_mfa", actor, now)
    sessions.revoke_all(user=user, actor=actor, now=now)


@transaction.atomic
def _turn_on(user: User, session_id: UUID | None, actor: Actor, now: datetime) -> list[str]:
    held = _hold(user)
    if held.mfa_enabled_at is not None:
        raise MfaAlreadyEnabled
    held.mfa_enabled_at = held.updated_at = now
    held.save(update_fields=["mfa_enabled_at", "updated_at"])
    policy = get_policy(organization_id=held.organization_id)
    if session_id is not None:
        # Not `mfa_at`: who sets a factor up has not shown that it is theirs (`stepup.step_up`).
        Session.objects.filter(pk=session_id).update(restriction=policy.restriction(held, now))
    callers.forget(organization_id=held.organization_id)
    _record(held, "mfa.enable", actor, now)
    return factors.replace_backup_codes(user=held, now=now)


@transaction.atomic
def _turn_off(user: User, action: str, actor: Actor, now: datetime) -> None:
    held = _hold(user)
    factors.remove(user=held)
    User.objects.filter(pk=held.pk).update(mfa_enabled_at=None, updated_at=now)
    Session.objects.filter(user=held).exclude(mfa_at=None).update(mfa_at=None)
    callers.forget(organization_id=held.organization_id)
    _record(held, action, actor, now)


@transaction.atomic
def _renew(user: User, actor: Actor, now: datetime) -> list[str]:
    _record(user, "mfa.renew_backup_codes", actor, now)
    return factors.replace_backup_codes(user=_hold(user), now=now)


def _confirm_both(attempt: Attempt, password: str, code: str) -> None:
    """Password and code: a stolen token, or one factor alone, changes nothing."""
    if attempt.user.mfa_enabled_at is None:
        raise MfaNotEnabled
    if not lockout.confirm_password(attempt=attempt, password=password):
        wrong = {"field": "password", "message": "This is not your password.", "type": "password"}
        raise PasswordRefused("The password is wrong.", fields=[wrong])
    lockout.confirm_code(attempt=attempt, code=code)


def _hold(user: User) -> User:
    """The user's row, locked to the end of the transaction."""
    return User.objects.select_for_update().get(pk=user.pk)


def _enrollment(secret: str, email: str) -> Enrollment:
    url = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    picture = segno.make(url, error="m")
    return Enrollment(
        secret=secret,
        otpauth_url=url,
        qr_code=picture.svg_data_uri(scale=4, light="white"),
        qr_code_png=picture.png_data_uri(scale=5),
    )


def _record(user: User, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action=action,
        resource_type="user",
        resource_id=user.pk,
        now=now,
    )
