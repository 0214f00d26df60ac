"""A stricter policy meets the sessions that are open, not only the next logins."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F

from accounts.choices import Restriction, SessionKind
from accounts.models import Session
from accounts.selectors.policy import Policy, get_policy
from preferences import operations as preferences


def policy_to_open(*, organization_id: UUID) -> Policy:
    """The policy for a session that the present transaction opens.

    It stays in force until that ends: `tighten_sessions` of a change then finds the session.
    """
    preferences.hold(organization_id=organization_id)
    return get_policy(organization_id=organization_id)


def tighten_sessions(*, organization_id: UUID, now: datetime) -> None:
    """Shorten sessions to the policy's duration, and restrict those that lack a second factor.

    In the transaction that changed the policy, which tells those who remember callers. What a
    looser one would allow waits for a login.
    """
    policy = get_policy(organization_id=organization_id)
    alive = Session.objects.filter(
        organization_id=organization_id, revoked_at=None, expires_at__gt=now
    ).exclude(kind=SessionKind.PENDING)
    end = F("created_at") + timedelta(hours=policy.session_max_duration_hours)
    alive.filter(expires_at__gt=end).update(expires_at=end)
    lacking = alive.filter(restriction="", mfa_at=None, user__mfa_enabled_at=None)
    due = [s.pk for s in lacking.select_related("user") if policy.enrollment(s.user, now)]
    Session.objects.filter(pk__in=due).update(restriction=Restriction.MFA)


def restriction_now(*, session: Session, policy: Policy, now: datetime) -> str:
    """The restriction of an open session, whose time of grace may have passed since its login."""
    if session.restriction or session.mfa_at is not None:
        return session.restriction
    return policy.enrollment(session.user, now)
