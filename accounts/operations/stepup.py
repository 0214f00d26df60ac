"""Step-up: what needs a second factor shown a short while ago (contract 002 A2, RFC 9470)."""

import math
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from accounts.errors import FactorTooYoung, MfaNotEnabled, StepUpImpossible, StepUpRequired
from accounts.models import Session, User
from accounts.operations import callers, lockout
from accounts.operations.lockout import Attempt
from accounts.selectors.policy import get_policy
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import DomainError, Forbidden
from preferences.errors import StepUpLockOut
from preferences.operations import Change

REQUIRED: Final = "security.step_up_required"


def require(*, user: User, mfa_at: datetime | None, now: datetime) -> None:
    """Let somebody do what the organization may ask a fresh second factor for; one query.

    `mfa_at` is the session's. Raises StepUpRequired for one that is older than the policy allows,
    StepUpImpossible for a person without one here, Forbidden for an API key, which cannot
    show one. Nothing is asked for where `step_up_required` is off.
    """
    policy = get_policy(organization_id=user.organization_id)
    if not policy.step_up_required:
        return
    if user.rights.limit is not None:
        raise Forbidden("An API key cannot do this: it needs a fresh second factor. Log in.")
    age = timedelta(minutes=policy.step_up_max_age_minutes)
    if mfa_at is not None and now - mfa_at <= age:
        return
    if user.mfa_enabled_at is None:
        raise StepUpImpossible
    raise StepUpRequired(max_age_seconds=math.floor(age.total_seconds()))


def find_obstacle(*, session: Session, now: datetime) -> DomainError | None:
    """What keeps a person's session from what `require` guards; None: nothing, one query.

    StepUpRequired where a code lifts it, FactorTooYoung or StepUpImpossible where none would.
    """
    try:
        require(user=session.user, mfa_at=session.mfa_at, now=now)
    except StepUpRequired as refusal:
        return FactorTooYoung() if _is_older(session.pk, session.user) else refusal
    except DomainError as refusal:
        return refusal
    return None


def check_lock_out(change: Change) -> None:
    """Let nobody switch step-up on who could not switch it off again from where they are.

    A guard of `preferences.operations.GUARDS`. A code that can be asked for is no obstacle; an API
    key never shows one; the operator of the machine needs none. Raises StepUpLockOut.
    """
    if REQUIRED not in change.keys or change.actor.type == "system":
        return
    if not get_policy(organization_id=change.organization_id).step_up_required:
        return
    if change.session_id is None:
        raise StepUpLockOut
    session = Session.objects.select_related("user").get(pk=change.session_id)
    obstacle = find_obstacle(session=session, now=change.now)
    if obstacle is not None and not isinstance(obstacle, StepUpRequired):
        raise StepUpLockOut


def require_with(*, session: Session, code: str, actor: Actor, now: datetime) -> None:
    """`require` for a person's session, which steps up with `code` if it has to and one is given.

    Raises what both raise.
    """
    obstacle = find_obstacle(session=session, now=now)
    if obstacle is None:
        return
    if not (code and isinstance(obstacle, StepUpRequired)):
        raise obstacle
    step_up(user=session.user, session_id=session.pk, code=code, actor=actor, now=now)
    session.mfa_at = now


def step_up(*, user: User, session_id: UUID, code: str, actor: Actor, now: datetime) -> datetime:
    """Show the second factor again in a session; until when it is fresh by the policy.

    Raises MfaNotEnabled, CodeRefused and AccountLocked; FactorTooYoung in a session from before the
    factor. Somebody with a stolen token could set one up, but not log in with it.
    """
    if user.mfa_enabled_at is None:
        raise MfaNotEnabled
    if _is_older(session_id, user):
        raise FactorTooYoung
    attempt = Attempt(user=user, session_id=session_id, actor=actor, now=now)
    lockout.confirm_code(attempt=attempt, code=code)
    _note(session_id, user, actor, now)
    policy = get_policy(organization_id=user.organization_id)
    return now + timedelta(minutes=policy.step_up_max_age_minutes)


def _is_older(session_id: UUID, user: User) -> bool:
    older = Session.objects.filter(pk=session_id, created_at__lte=user.mfa_enabled_at)
    return older.exists()


@transaction.atomic
def _note(session_id: UUID, user: User, actor: Actor, now: datetime) -> None:
    Session.objects.filter(pk=session_id, user=user).update(mfa_at=now)
    callers.forget(organization_id=user.organization_id)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="auth.step_up",
        resource_type="session",
        resource_id=session_id,
        now=now,
    )
