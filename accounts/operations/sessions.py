"""Sessions: opened by a login, kept by refreshing, ended; and the tokens of those of the API."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.choices import SessionKind
from accounts.errors import RefreshReused, TokenRefused
from accounts.models import Session, User
from accounts.operations import callers, tightening
from accounts.selectors import network, people
from accounts.selectors import sessions as selectors
from accounts.selectors.policy import Policy, get_policy
from audit import operations as audit
from audit.choices import AuditStatus
from kernel import tenancy
from kernel.actors import Actor
from kernel.errors import NotFound

LONGEST: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session's current pair; `expires_at` is the access token's.

    `restriction` is what the session is only for (`accounts.choices.Restriction`), mostly nothing.
    """

    access: str
    refresh: str
    expires_at: datetime
    user: User
    restriction: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins: `action` is audit's, `pending` the row that waited for a second factor.

    `restriction` None: as the policy says. `is_vouched`: an identity provider's word stood in for
    the password, so it says nothing of who failed to confirm with one.
    """

    kind: SessionKind
    actor: Actor
    action: str
    user_agent: str = ""
    mfa_at: datetime | None = None
    pending: Session | None = None
    restriction: str | None = None
    is_vouched: bool = False


@transaction.atomic
def issue_tokens(*, user: User, actor: Actor, now: datetime) -> Tokens:
    """Open a session for `user` on the word of whoever runs commands on this machine.

    It is nobody's login: it asks for no factor, and no other session ends for it.
    """
    opening = Opening(SessionKind.API, actor, "auth.issue", "manage.py", restriction="")
    policy = get_policy(organization_id=user.organization_id)
    session = _create(user, policy, opening, now)
    _record(session, opening.action, actor, now)
    return make_tokens(session=session, now=now)


def open_session(*, user: User, policy: Policy, opening: Opening, now: datetime) -> Session:
    """A new session of somebody who proved who they are; beyond the policy's number the oldest end.

    Call it in the transaction that holds the user's row locked, so that two logins at once count
    each other. Raises TokenRefused if the pending session was used or has ended by now.
    """
    session = _create(user, policy, opening, now)
    _end_oldest(user, policy, opening.actor, now)
    forgotten = (
        {} if opening.is_vouched else {"failed_confirmations": 0, "confirm_locked_until": None}
    )
    User.objects.filter(pk=user.pk).update(
        last_login=now,
        last_login_ip=opening.actor.ip_address,
        failed_logins=0,
        locked_until=None,
        **forgotten,
    )
    _record(session, opening.action, opening.actor, now)
    return session


def refresh(*, token: str, now: datetime, ip_address: str | None = None) -> Tokens:
    """Swap a refresh token for a new pair; the old one ends, the session's own end stays.

    Raises TokenRefused, RefreshReused (and revokes the session) for one that was used before, and
    AddressRefused.
    """
    claims = _decode(token)
    organization_id = UUID(claims["org"])
    with tenancy.organization(organization_id):
        network.check(rules=network.read_rules(organization_id=organization_id), address=ip_address)
        try:
            return _rotate(claims=claims, now=now)
        except RefreshReused:
            # Committed on its own: the refusal must not roll the revocation back.
            _revoke_reused(claims=claims, now=now, ip_address=ip_address)
            raise


@transaction.atomic
def log_out(*, session_id: UUID, actor: Actor, now: datetime) -> None:
    """End one's own session; its tokens stop counting with the next request. Twice is fine."""
    _end(session_id, "auth.logout", actor, now)


@transaction.atomic
def revoke(*, session_id: UUID, actor: Actor, now: datetime) -> None:
    """End a session that may be somebody else's. Twice is fine."""
    _end(session_id, "session.revoke", actor, now)


@transaction.atomic
def revoke_all(*, user: User, actor: Actor, now: datetime) -> int:
    """End every session of `user`; how many were alive."""
    ended = Session.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
    callers.forget(organization_id=user.organization_id)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="session.revoke_all",
        resource_type="user",
        resource_id=user.pk,
        details={"count": ended},
        now=now,
    )
    return ended


def make_tokens(*, session: Session, now: datetime) -> Tokens:
    """The pair that is good for the session now; neither outlives it."""
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
        expires_at=min(now + AccessToken.lifetime, session.expires_at),
        user=session.user,
        restriction=session.restriction,
    )


def _create(user: User, policy: Policy, opening: Opening, now: datetime) -> Session:
    if opening.pending is not None:
        _use_up(opening.pending, now)
    restriction = opening.restriction
    lasts = min(timedelta(hours=policy.session_max_duration_hours), LONGEST)
    return Session.objects.create(
        organization=user.organization,
        user=user,
        kind=opening.kind,
        restriction=policy.restriction(user, now) if restriction is None else restriction,
        refresh_jti=secrets.token_hex(16) if opening.kind is SessionKind.API else "",
        mfa_at=opening.mfa_at,
        ip_address=opening.actor.ip_address,
        user_agent=opening.user_agent[:255],
        created_at=now,
        last_seen_at=now,
        expires_at=now + lasts,
    )


def _use_up(pending: Session, now: datetime) -> None:
    """A temporary token is good once: of two that come at the same time one finds it gone."""
    waiting = Session.objects.filter(pk=pending.pk, kind=SessionKind.PENDING, revoked_at=None)
    if not waiting.filter(expires_at__gt=now).update(expires_at=now):
        raise TokenRefused


def _end_oldest(user: User, policy: Policy, actor: Actor, now: datetime) -> None:
    alive = selectors.list_alive(organization_id=user.organization_id, now=now).filter(user=user)
    beyond = list(alive.values_list("pk", flat=True)[policy.session_max_concurrent :])
    if not beyond:
        return
    Session.objects.filter(pk__in=beyond).update(revoked_at=now)
    callers.forget(organization_id=user.organization_id)
    entries = [
        audit.Entry(actor, user.organization_id, "session.end_oldest", "session", pk)
        for pk in beyond
    ]
    audit.record_all(entries=entries, now=now)


@transaction.atomic
def _rotate(*, claims: Token, now: datetime) -> Tokens:
    session = (
        Session.objects.select_for_update(of=("self",))
        .select_related("user", "organization")
        .filter(pk=UUID(claims["sid"]), kind=SessionKind.API)
        .first()
    )
    if session is None or not session.is_alive(now=now):
        raise TokenRefused
    if not (session.user.is_active and session.organization.is_active):
        raise TokenRefused
    if session.refresh_jti != claims["jti"]:
        raise RefreshReused
    changed = ["refresh_jti", "last_seen_at", "updated_at"]
    policy = get_policy(organization_id=session.organization_id)
    restriction = tightening.restriction_now(session=session, policy=policy, now=now)
    if restriction != session.restriction:
        # Only then: a refresh must not make everybody in the organization be read anew.
        session.restriction = restriction
        changed.append("restriction")
        callers.forget(organization_id=session.organization_id)
    session.refresh_jti = secrets.token_hex(16)
    session.last_seen_at = session.updated_at = now
    session.save(update_fields=changed)
    return make_tokens(session=session, now=now)


@transaction.atomic
def _revoke_reused(*, claims: Token, now: datetime, ip_address: str | None) -> None:
    session = Session.objects.select_related("user").filter(pk=UUID(claims["sid"])).first()
    if session is None:
        return
    Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now)
    callers.forget(organization_id=session.organization_id)
    actor = people.actor_of(user=session.user, ip_address=ip_address)
    _record(session, "auth.refresh_reused", actor, now, status=AuditStatus.DENIED)


def _end(session_id: UUID, action: str, actor: Actor, now: datetime) -> None:
    if actor.organization_id is None:
        raise NotFound
    session = Session.objects.filter(
        pk=session_id, organization_id=actor.organization_id, revoked_at=None
    ).first()
    if session is None:
        return
    if Session.objects.filter(pk=session_id, revoked_at=None).update(revoked_at=now):
        callers.forget(organization_id=actor.organization_id)
        _record(session, action, actor, now)


def _decode(token: str) -> Token:
    try:
        claims = RefreshToken(token)  # type: ignore[arg-type]  # the library types its own class only
        for name in ("sid", "org"):
            UUID(str(claims[name]))
    except (TokenError, KeyError, ValueError):
        raise TokenRefused from None
    return claims


def _record(
    session: Session,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    status: AuditStatus = AuditStatus.SUCCESS,
) -> None:
    audit.record(
        actor=actor,
        organization_id=session.organization_id,
        action=action,
        resource_type="session",
        resource_id=session.pk,
        now=now,
        status=status,
    )
