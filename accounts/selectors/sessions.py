"""Questions about logins: whose token is this."""

from datetime import datetime
from uuid import UUID

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from accounts.errors import TokenRefused
from accounts.models import Session


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
