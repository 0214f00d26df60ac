"""Questions about logins: whose token or browser is this, and who is logged in."""

from datetime import datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID

from django.db.models import Case, QuerySet, When
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from accounts.choices import SessionKind
from accounts.errors import TokenRefused
from accounts.models import Session
from accounts.selectors import network, policy, rights
from kernel.errors import NotFound
from preferences.selectors import values

MFA_REQUIRED: Final = "security.mfa_required"


def read_access_token(*, token: str) -> AccessToken:
    """The claims of an access token that is genuine and has not expired; raises TokenRefused.

    `sid`, `sub` and `org` are UUIDs as strings.
    """
    try:
        claims = AccessToken(token)  # type: ignore[arg-type]  # the library types its own class only
        for name in ("sid", "sub", "org"):
            UUID(claims[name])
    except (TokenError, KeyError, ValueError, TypeError, AttributeError):
        raise TokenRefused from None
    return claims


def get_session(*, token: str, now: datetime) -> Session:
    """The live session behind an access token, with its user, their rights, and `rules`.

    Raises TokenRefused for anything else, without saying which check failed.
    """
    claims = read_access_token(token=token)
    session = _with_callers().filter(pk=claims["sid"], kind=SessionKind.API).first()
    if session is None or not session.is_alive(now=now):
        raise TokenRefused
    if (str(session.user_id), str(session.organization_id)) != (claims["sub"], claims["org"]):
        raise TokenRefused
    if not (session.user.is_active and session.organization.is_active):
        raise TokenRefused
    _narrow(session)
    return session


def find_console_session(*, session_id: UUID, now: datetime) -> Session | None:
    """The live session of a browser, with its user, their rights, `rules`, and what is stored of
    the rule that everybody needs a second factor (`mfa_required`); one query.

    Ask in `tenancy.platform()`: the browser's cookie does not say whose it is.
    """
    required = values.along(key=MFA_REQUIRED, organization="organization_id")
    rows = _with_callers().annotate(mfa_required=required)
    session = rows.filter(pk=session_id, kind=SessionKind.CONSOLE).first()
    if session is None or not session.is_alive(now=now):
        return None
    if not (session.user.is_active and session.organization.is_active):
        return None
    session.user.organization = session.organization
    _narrow(session)
    return session


def find_mfa_due(*, session: Session, now: datetime) -> datetime | None:
    """Until when the person of a console session may do without a second factor; None: for good.

    No query unless the organization asks for one and they have none.
    """
    stored = session.mfa_required  # type: ignore[attr-defined]  # by `find_console_session`
    # A provider that showed a factor for them is as good as one of ours.
    if (
        session.mfa_at
        or session.user.has_mfa
        or not values.accepted(key=MFA_REQUIRED, stored=stored)
    ):
        return None
    due = policy.find_mfa_due(user=session.user)
    return due if due is not None and due > now else None


def list_alive(
    *, organization_id: UUID, now: datetime, idle_timeout: timedelta | None = None
) -> QuerySet[Session]:
    """Sessions that count, newest first; without those of the console that were idle too long."""
    alive = Session.objects.filter(
        organization_id=organization_id, revoked_at=None, expires_at__gt=now
    ).exclude(kind=SessionKind.PENDING)
    if idle_timeout is not None:
        alive = alive.exclude(kind=SessionKind.CONSOLE, last_seen_at__lte=now - idle_timeout)
    return alive.order_by("-created_at", "-pk")


def list_shown(
    *, organization_id: UUID, current_id: UUID | None, now: datetime, user_id: UUID | None = None
) -> QuerySet[Session]:
    """`list_alive` for people to look at, with whose they are; `current` marks the asker's own."""
    idle_timeout = policy.get_policy(organization_id=organization_id).idle_timeout
    rows = list_alive(
        organization_id=organization_id, now=now, idle_timeout=idle_timeout
    ).select_related("user")
    if user_id is not None:
        rows = rows.filter(user_id=user_id)
    is_current = Case(When(pk=current_id, then=True), default=False)
    return rows.annotate(current=is_current)


def get_one(*, organization_id: UUID, session_id: UUID, user_id: UUID | None = None) -> Session:
    """A session of the organization or of one of its people, alive or not; raises NotFound."""
    rows = Session.objects.exclude(kind=SessionKind.PENDING)
    if user_id is not None:
        rows = rows.filter(user_id=user_id)
    found = rows.filter(organization_id=organization_id, pk=session_id).first()
    if found is None:
        raise NotFound
    return found


@cache
def _with_callers() -> QuerySet[Session]:
    """Sessions with everything that is asked about who calls, in one query.

    Put together once: that alone costs as much as a fourth of reading a caller.
    """
    rows = rights.with_rights(Session.objects.select_related("user", "organization"))
    return network.with_rules(rows)


def _narrow(session: Session) -> None:
    """Give the session's user the rights that count in it."""
    user = session.user
    user.held = session.held  # type: ignore[attr-defined]  # `User.rights` reads it
    if session.restriction:
        user.rights = user.rights.until(session.restriction)
