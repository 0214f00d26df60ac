"""Questions about people: who is this, and may they."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from accounts.choices import UserRole
from accounts.errors import TokenRefused
from accounts.models import Organization, Session, User
from kernel.actors import Actor
from kernel.errors import NotFound


def may(*, user: User, permission: str) -> bool:
    """Whether `user` holds `permission`, as `User.has_perm` decides it for every door."""
    return user.has_perm(permission)


def find_user_by_email(*, email: str) -> User | None:
    """The user with this e-mail in any case of letters, enabled or not."""
    return User.objects.select_related("organization").filter(email__iexact=email).first()


def find_administrator(*, organization_id: UUID) -> User | None:
    """The organization's longest-standing active administrator."""
    return (
        User.objects.select_related("organization")
        .filter(organization_id=organization_id, role=UserRole.ADMIN, is_active=True)
        .order_by("created_at", "pk")
        .first()
    )


def get_user(*, organization_id: UUID, user_id: UUID) -> User:
    """One user of the organization; raises NotFound."""
    user = User.objects.filter(organization_id=organization_id, pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def list_organizations() -> QuerySet[Organization]:
    """Every organization; for commands that the operator types, never for a request."""
    return Organization.objects.order_by("created_at", "pk")


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
    """The live session behind an access token, with its user and organization.

    Raises TokenRefused for anything else, without saying which check failed.
    """
    claims = read_access_token(token=token)
    session = (
        Session.objects.select_related("user", "organization").filter(pk=claims["sid"]).first()
    )
    if session is None or not session.is_alive(now=now):
        raise TokenRefused
    if (str(session.user_id), str(session.organization_id)) != (claims["sub"], claims["org"]):
        raise TokenRefused
    if not (session.user.is_active and session.organization.is_active):
        raise TokenRefused
    return session


def actor_of(*, user: User, ip_address: str | None = None, request_id: str = "") -> Actor:
    """The Actor that stands for `user` in operations and audit."""
    return Actor(
        type="user",
        id=str(user.pk),
        label=user.email,
        organization_id=user.organization_id,
        ip_address=ip_address,
        request_id=request_id,
    )
