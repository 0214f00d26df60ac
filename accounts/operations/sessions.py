"""Logging in, staying logged in, logging out."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.errors import AccountDisabled, CredentialsRefused, RefreshReused, TokenRefused
from accounts.models import Session, User
from accounts.operations import callers
from accounts.selectors import people
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session's current pair; `expires_at` is the access token's."""

    access: str
    refresh: str
    expires_at: datetime
    user: User


@transaction.atomic
def log_in(
    *,
    email: str,
    password: str,
    now: datetime,
    ip_address: str | None = None,
    user_agent: str = "",
    request_id: str = "",
) -> Tokens:
    """Open a session for the right e-mail and password.

    Raises CredentialsRefused alike for a wrong password and for an unknown account, and
    AccountDisabled only after the right password (contract decisions, 8).
    """
    user = people.find_user_by_email(email=email)
    if user is None:
        make_password(password)  # costs what checking costs, so that time reveals no account
        raise CredentialsRefused
    if not user.check_password(password):
        raise CredentialsRefused
    if not (user.is_active and user.organization.is_active):
        raise AccountDisabled
    actor = people.actor_of(user=user, ip_address=ip_address, request_id=request_id)
    return _open(user=user, actor=actor, now=now, user_agent=user_agent, action="auth.login")


@transaction.atomic
def issue_tokens(*, user: User, actor: Actor, now: datetime) -> Tokens:
    """Open a session for `user` on the word of whoever runs commands on this machine."""
    return _open(user=user, actor=actor, now=now, user_agent="manage.py", action="auth.issue")


@transaction.atomic
def note_console_login(
    *, user: User, ip_address: str | None, request_id: str, now: datetime
) -> None:
    """Audit a login to the console, whose session is Django's own."""
    audit.record(
        actor=people.actor_of(user=user, ip_address=ip_address, request_id=request_id),
        organization_id=user.organization_id,
        action="auth.console_login",
        resource_type="user",
        resource_id=user.pk,
        now=now,
    )


def refresh(*, token: str, now: datetime, ip_address: str | None = None) -> Tokens:
    """Swap a refresh token for a new pair; the old one ends.

    Raises TokenRefused, or RefreshReused (and revokes the session) for one that was used before.
    """
    claims = _decode(token)
    try:
        return _rotate(claims=claims, now=now)
    except RefreshReused:
        # Committed on its own: the refusal must not roll the revocation back.
        _revoke_reused(claims=claims, now=now, ip_address=ip_address)
        raise


@transaction.atomic
def log_out(*, session_id: UUID, actor: Actor, now: datetime) -> None:
    """End a session; its tokens stop counting with the next request. Twice is fine."""
    if actor.organization_id is None:
        raise NotFound
    ended = Session.objects.filter(
        pk=session_id, organization_id=actor.organization_id, revoked_at=None
    ).update(revoked_at=now)
    if ended:
        callers.forget(organization_id=actor.organization_id)
        audit.record(
            actor=actor,
            organization_id=actor.organization_id,
            action="auth.logout",
            resource_type="session",
            resource_id=session_id,
            now=now,
        )


def _open(*, user: User, actor: Actor, now: datetime, user_agent: str, action: str) -> Tokens:
    session = Session.objects.create(
        organization=user.organization,
        user=user,
        refresh_jti=secrets.token_hex(16),
        ip_address=actor.ip_address,
        user_agent=user_agent[:255],
        expires_at=now + RefreshToken.lifetime,
    )
    User.objects.filter(pk=user.pk).update(last_login=now)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action=action,
        resource_type="session",
        resource_id=session.pk,
        now=now,
    )
    return _tokens(session, now)


@transaction.atomic
def _rotate(*, claims: Token, now: datetime) -> Tokens:
    session = (
        Session.objects.select_for_update(of=("self",))
        .select_related("user", "organization")
        .filter(pk=UUID(claims["sid"]))
        .first()
    )
    if session is None or not session.is_alive(now=now):
        raise TokenRefused
    if not (session.user.is_active and session.organization.is_active):
        raise TokenRefused
    if session.refresh_jti != claims["jti"]:
        raise RefreshReused
    session.refresh_jti = secrets.token_hex(16)
    session.expires_at = now + RefreshToken.lifetime
    session.updated_at = now
    session.save(update_fields=["refresh_jti", "expires_at", "updated_at"])
    return _tokens(session, now)


@transaction.atomic
def _revoke_reused(*, claims: Token, now: datetime, ip_address: str | None) -> None:
    session = Session.objects.select_related("user").filter(pk=UUID(claims["sid"])).first()
    if session is None:
        return
    Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now)
    callers.forget(organization_id=session.organization_id)
    audit.record(
        actor=people.actor_of(user=session.user, ip_address=ip_address),
        organization_id=session.organization_id,
        action="auth.refresh_reused",
        resource_type="session",
        resource_id=session.pk,
        now=now,
    )


def _decode(token: str) -> Token:
    try:
        claims = RefreshToken(token)  # type: ignore[arg-type]  # the library types its own class only
        UUID(str(claims["sid"]))
    except (TokenError, KeyError, ValueError):
        raise TokenRefused from None
    return claims


def _tokens(session: Session, now: datetime) -> Tokens:
    refresh_token, access = RefreshToken(), AccessToken()
    shared: dict[str, Any] = {
        "sub": str(session.user_id),
        "sid": str(session.pk),
        "org": str(session.organization_id),
        "iss": "agent-hub",
        "aud": "agent-hub",
    }
    for token in (refresh_token, access):
        token.payload.update(shared)
        token.set_iat(at_time=now)
        token.set_exp(from_time=now)
    refresh_token["jti"] = session.refresh_jti
    return Tokens(
        access=str(access),
        refresh=str(refresh_token),
        expires_at=now + AccessToken.lifetime,
        user=session.user,
    )
