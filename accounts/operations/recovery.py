"""The way back for people who lost a password or a second factor, through an administrator.

Whoever can reset what somebody logs in with can log in as them, and whoever lifts locks can guess
for ever. So nobody does it for people who may do more than they, and nobody for themselves: there a
password and a code are asked for.
"""

from datetime import datetime
from uuid import UUID

from accounts.errors import MfaNotEnabled, NoPassword, OwnAccount
from accounts.models import User
from accounts.operations import guards, lockout, mfa, passwords
from accounts.selectors import people
from audit import operations as audit
from kernel.actors import Actor


def reset_password(
    *,
    organization_id: UUID,
    user_id: UUID,
    giver: User | None,
    actor: Actor,
    now: datetime,
    password: str = "",
) -> str:
    """Set a password that is only good for choosing another one, and end every session.

    Without `password` one is made up; answers the one that counts. Raises NotFound, OwnAccount,
    Escalation, NoPassword for somebody whom only an identity provider lets in, or Invalid.
    """
    chosen = password or passwords.make()
    # No change of rights, but nobody may get any while it is looked at who may do more.
    with guards.changing_rights(organization_id=organization_id):
        user = _find(organization_id, user_id, giver)
        guards.check_reach(giver=giver, user=user)
        if not user.has_usable_password():
            raise NoPassword
        passwords.replace(user=user, password=chosen, is_temporary=True, now=now)
        _record(user, "user.reset_password", actor, now, {"made_up": not password})
    return chosen


def reset_mfa(
    *, organization_id: UUID, user_id: UUID, giver: User | None, actor: Actor, now: datetime
) -> None:
    """Take the second factor from somebody who lost it, and end their sessions.

    Raises NotFound, OwnAccount, Escalation, or MfaNotEnabled for somebody who has none.
    """
    with guards.changing_rights(organization_id=organization_id):
        user = _find(organization_id, user_id, giver)
        guards.check_reach(giver=giver, user=user)
        if user.mfa_enabled_at is None:
            raise MfaNotEnabled("No second factor is set up.")
        mfa.reset(user=user, actor=actor, now=now)


def unlock(
    *, organization_id: UUID, user_id: UUID, giver: User | None, actor: Actor, now: datetime
) -> None:
    """Let somebody try again before the time is over; twice is fine.

    Raises NotFound, OwnAccount or Escalation.
    """
    with guards.changing_rights(organization_id=organization_id):
        user = _find(organization_id, user_id, giver)
        guards.check_reach(giver=giver, user=user)
        lockout.unlock(user=user, actor=actor, now=now)


def _find(organization_id: UUID, user_id: UUID, giver: User | None) -> User:
    user = people.get_user(organization_id=organization_id, user_id=user_id)
    if giver is not None and giver.pk == user.pk:
        raise OwnAccount
    return user


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
