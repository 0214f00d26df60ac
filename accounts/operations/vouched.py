"""Logging in on the word of somebody else: no password is asked for, all other rules hold."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.errors import AccountDisabled
from accounts.models import Session, User
from accounts.operations import login, sessions, tightening
from accounts.operations.login import Awaited, Origin
from accounts.operations.sessions import Opening
from accounts.selectors import network


@transaction.atomic
def enter(
    *, user_id: UUID, mfa_at: datetime | None, action: str, now: datetime, origin: Origin
) -> Session | Awaited:
    """Open a session for somebody for whom an identity provider vouches; `action` is audit's.

    `mfa_at` is when they showed it a second factor. None: their own is asked for next (Awaited), or
    to be set up where the policy requires one. That guesses at the password locked the account does
    not matter here, nor the password's age. Raises AccountDisabled and AddressRefused.
    """
    held = User.objects.select_for_update(of=("self",)).select_related("organization")
    user = held.get(pk=user_id)
    if not (user.is_active and user.organization.is_active):
        raise AccountDisabled
    rules = network.read_rules(organization_id=user.organization_id)
    network.check(rules=rules, address=origin.ip_address)
    if mfa_at is None and user.mfa_enabled_at is not None:
        return login.await_factor(user=user, now=now, origin=origin, restriction="")
    policy = tightening.policy_to_open(organization_id=user.organization_id)
    opening = Opening(
        kind=origin.kind,
        actor=origin.person(user),
        action=action,
        user_agent=origin.user_agent,
        mfa_at=mfa_at,
        restriction="" if mfa_at else policy.enrollment(user, now),
        is_vouched=True,
    )
    return sessions.open_session(user=user, policy=policy, opening=opening, now=now)
