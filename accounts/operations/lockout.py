"""Wrong passwords and codes: counted exactly, and after too many the account is locked.

Failures at the login lock the login, failures of somebody who is logged in lock confirmations and
end their session: neither a stranger nor a stolen token keeps the owner from the other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.contrib.auth.hashers import verify_password
from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from accounts.errors import AccountLocked, CodeRefused
from accounts.models import Session, User
from accounts.operations import callers, factors
from accounts.selectors.policy import Policy, get_policy
from audit import operations as audit
from audit.choices import AuditStatus
from kernel.actors import Actor

# The two counters, each with its lock.
LOGIN: Final = ("failed_logins", "locked_until")
CONFIRMATION: Final = ("failed_confirmations", "confirm_locked_until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who confirms what they are about to do, in which session."""

    user: User
    session_id: UUID | None
    actor: Actor
    now: datetime


def confirm_password(*, attempt: Attempt, password: str) -> bool:
    """Whether it is the password of somebody who is logged in; a wrong one counts.

    Raises AccountLocked. Who stole a token must not find the password out by trying: too many wrong
    ones end the session.
    """

    def is_right(held: User) -> bool:
        return verify_password(password, held.password)[0]

    return _confirm(attempt, is_right, "wrong_password")


def confirm_code(*, attempt: Attempt, code: str) -> None:
    """Use a second factor of somebody who is logged in; a wrong code counts.

    Raises CodeRefused and AccountLocked.
    """

    def is_right(held: User) -> bool:
        return factors.use(user=held, code=code, now=attempt.now)

    if not _confirm(attempt, is_right, "wrong_code"):
        raise CodeRefused


def count_failure(
    *, user_id: UUID, policy: Policy, now: datetime, counter: tuple[str, str] = LOGIN
) -> None:
    """One conditional UPDATE, so that of two failures at once none is lost.

    It counts on while the account is locked (`is_silent`); a lock that has passed starts anew.
    """
    count, until = counter
    locks_at = policy.lockout_threshold - 1
    locks = Q(**{until: None, f"{count}__gte": locks_at})
    User.objects.filter(pk=user_id).update(
        **{
            count: Case(When(Q(**{f"{until}__lte": now}), then=1), default=F(count) + 1),
            until: Case(
                When(Q(**{f"{until}__gt": now}), then=F(until)),
                When(locks, then=Value(now + timedelta(minutes=policy.lockout_minutes))),
                default=None,
            ),
        }
    )


def clear(*, user_id: UUID) -> None:
    """Forget the failures at the login, and its lock; those of confirmations stay.

    Not for somebody with a second factor who proved no more than the password: whoever knows that
    alone could guess at codes for ever, with a change of it in between.
    """
    User.objects.filter(pk=user_id).exclude(failed_logins=0, locked_until=None).update(
        failed_logins=0, locked_until=None
    )


def clear_all(*, user_id: UUID) -> None:
    """Forget both kinds of failures: somebody else vouches for the person."""
    User.objects.filter(pk=user_id).update(
        failed_logins=0, locked_until=None, failed_confirmations=0, confirm_locked_until=None
    )


@transaction.atomic
def unlock(*, user: User, actor: Actor, now: datetime) -> None:
    """Let somebody try again before the time is over."""
    clear_all(user_id=user.pk)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="user.unlock",
        resource_type="user",
        resource_id=user.pk,
        now=now,
    )


def is_locked(*, user: User, now: datetime) -> bool:
    """Whether logins are locked now."""
    return user.locked_until is not None and now < user.locked_until


def is_confirm_locked(*, user: User, now: datetime) -> bool:
    """Whether confirmations are locked now."""
    return user.confirm_locked_until is not None and now < user.confirm_locked_until


def is_silent(*, user: User, policy: Policy) -> bool:
    """Whether a locked account answers the right password like a wrong one.

    Until then a person learns why they cannot log in. Somebody who goes on guessing must not
    learn from that answer which password was right: they have as many more tries as locked it.
    """
    return user.failed_logins >= 2 * policy.lockout_threshold


def refuse_locked(*, user: User, now: datetime) -> None:
    """Raises AccountLocked with the seconds that are left until logins are open again."""
    _refuse(user.locked_until, now)


def _refuse(until: datetime | None, now: datetime) -> None:
    if until is not None and now < until:
        seconds = math.ceil((until - now).total_seconds())
        raise AccountLocked(data={"retry_after_seconds": seconds})


@transaction.atomic
def _confirm(attempt: Attempt, is_right: Callable[[User], bool], error_kind: str) -> bool:
    """One attempt at a time; its failure stays, whatever the caller makes of it."""
    now = attempt.now
    held = User.objects.select_for_update().get(pk=attempt.user.pk)
    _refuse(held.confirm_locked_until, now)
    if is_right(held):
        return True
    policy = get_policy(organization_id=held.organization_id)
    count_failure(user_id=held.pk, policy=policy, now=now, counter=CONFIRMATION)
    held.refresh_from_db(fields=["confirm_locked_until"])
    ends = is_confirm_locked(user=held, now=now) and _end_session(attempt)
    audit.record(
        actor=attempt.actor,
        organization_id=held.organization_id,
        action="auth.confirm",
        resource_type="user",
        resource_id=held.pk,
        details={"error_kind": error_kind, **({"session_ended": True} if ends else {})},
        now=now,
        status=AuditStatus.FAILURE,
    )
    return False


def _end_session(attempt: Attempt) -> bool:
    """End the session that guessed: whoever holds it may have stolen it."""
    if attempt.session_id is None:
        return False
    alive = Session.objects.filter(pk=attempt.session_id, user=attempt.user, revoked_at=None)
    if not alive.update(revoked_at=attempt.now):
        return False
    callers.forget(organization_id=attempt.user.organization_id)
    return True
