"""Wrong passwords and codes: counted exactly, and after too many the account is locked."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.hashers import verify_password
from django.db import transaction
from django.db.models import Case, F, Value, When

from accounts.errors import AccountLocked, CodeRefused
from accounts.models import User
from accounts.operations import factors
from accounts.selectors.policy import Policy, get_policy
from audit import operations as audit
from audit.choices import AuditStatus
from kernel.actors import Actor


def confirm_password(*, user: User, password: str, actor: Actor, now: datetime) -> bool:
    """Whether it is the password of somebody who is logged in; a wrong one counts.

    Raises AccountLocked. Who stole a token must not find the password out by trying.
    """

    def is_right(held: User) -> bool:
        return verify_password(password, held.password)[0]

    return _confirm(user, is_right, "wrong_password", actor, now)


def confirm_code(*, user: User, code: str, actor: Actor, now: datetime) -> None:
    """Use a second factor of somebody who is logged in; a wrong code counts.

    Raises CodeRefused and AccountLocked.
    """

    def is_right(held: User) -> bool:
        return factors.use(user=held, code=code, now=now)

    if not _confirm(user, is_right, "wrong_code", actor, now):
        raise CodeRefused


def count_failure(*, user_id: UUID, policy: Policy, now: datetime) -> None:
    """One conditional UPDATE, so that of two failures at once none is lost.

    It counts on while the account is locked (`is_silent`); a lock that has passed starts anew.
    """
    locks_at = policy.lockout_threshold - 1
    User.objects.filter(pk=user_id).update(
        failed_logins=Case(When(locked_until__lte=now, then=1), default=F("failed_logins") + 1),
        locked_until=Case(
            When(locked_until__gt=now, then=F("locked_until")),
            When(
                locked_until=None,
                failed_logins__gte=locks_at,
                then=Value(now + timedelta(minutes=policy.lockout_minutes)),
            ),
            default=None,
        ),
    )


def clear(*, user_id: UUID) -> None:
    """Forget the failures, after everything that was asked for was right."""
    User.objects.filter(pk=user_id).exclude(failed_logins=0, locked_until=None).update(
        failed_logins=0, locked_until=None
    )


@transaction.atomic
def unlock(*, user: User, actor: Actor, now: datetime) -> None:
    """Let somebody try again before the time is over."""
    clear(user_id=user.pk)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="user.unlock",
        resource_type="user",
        resource_id=user.pk,
        now=now,
    )


def is_locked(*, user: User, now: datetime) -> bool:
    """Whether the account is locked now."""
    return user.locked_until is not None and now < user.locked_until


def is_silent(*, user: User, policy: Policy) -> bool:
    """Whether a locked account answers the right password like a wrong one.

    Until then a person learns why they cannot log in. Somebody who goes on guessing must not
    learn from that answer which password was right: they have as many more tries as locked it.
    """
    return user.failed_logins >= 2 * policy.lockout_threshold


def refuse_locked(*, user: User, now: datetime) -> None:
    """Raises AccountLocked with the seconds that are left."""
    if user.locked_until is not None and now < user.locked_until:
        seconds = math.ceil((user.locked_until - now).total_seconds())
        raise AccountLocked(data={"retry_after_seconds": seconds})


@transaction.atomic
def _confirm(
    user: User, is_right: Callable[[User], bool], error_kind: str, actor: Actor, now: datetime
) -> bool:
    """One attempt at a time; its failure stays, whatever the caller makes of it."""
    held = User.objects.select_for_update().get(pk=user.pk)
    refuse_locked(user=held, now=now)
    if is_right(held):
        return True
    policy = get_policy(organization_id=held.organization_id)
    count_failure(user_id=held.pk, policy=policy, now=now)
    audit.record(
        actor=actor,
        organization_id=held.organization_id,
        action="auth.confirm",
        resource_type="user",
        resource_id=held.pk,
        details={"error_kind": error_kind},
        now=now,
        status=AuditStatus.FAILURE,
    )
    return False
