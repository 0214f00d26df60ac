"""Logging in: the password, then the second factor where there is one."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NoReturn
from uuid import UUID

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, verify_password
from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.choices import SessionKind
from accounts.errors import (
    AccountDisabled,
    AccountLocked,
    AddressRefused,
    CredentialsRefused,
    SecondFactorRefused,
    TokenRefused,
)
from accounts.models import Session, User
from accounts.operations import factors, lockout, passwords, sessions, tightening
from accounts.operations.sessions import Opening, Tokens
from accounts.selectors import network, people
from accounts.selectors.policy import Policy, get_policy
from audit import operations as audit
from audit.choices import AuditStatus
from kernel import tenancy
from kernel.actors import Actor
from kernel.errors import DomainError

# Stands in where nobody has the e-mail: the same statements, and none of them finds a row.
NOBODY: Final = UUID(int=0)


class MfaToken(Token):
    """Says that the password was right; good for the second step alone, once."""

    token_type = "mfa"  # noqa: S105 - a kind of token
    lifetime = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a login comes from, and to which door."""

    kind: SessionKind = SessionKind.API
    ip_address: str | None = None
    user_agent: str = ""
    request_id: str = ""

    def stranger(self) -> Actor:
        """Who acts as long as nobody has proved who they are."""
        return Actor(type="anonymous", ip_address=self.ip_address, request_id=self.request_id)

    def person(self, user: User) -> Actor:
        """Who acts once they have."""
        return people.actor_of(user=user, ip_address=self.ip_address, request_id=self.request_id)


@dataclass(frozen=True, slots=True)
class Awaited:
    """The password was right; `temp_token` and a code open the session."""

    temp_token: str = field(repr=False)


def log_in(
    *, email: str, password: str, now: datetime, origin: Origin | None = None
) -> Tokens | Awaited:
    """Open a session of the API for the right e-mail and password.

    Raises CredentialsRefused alike for a wrong password and for an unknown account. Only after the
    right password: AccountLocked, AccountDisabled, AddressRefused, or Awaited where there is a
    second factor (contract decisions, 8).
    """
    opened = enter(email=email, password=password, now=now, origin=origin or Origin())
    if isinstance(opened, Awaited):
        return opened
    return sessions.make_tokens(session=opened, now=now)


def enter(*, email: str, password: str, now: datetime, origin: Origin) -> Session | Awaited:
    """The same for the door of `origin`: the session instead of its tokens."""
    with tenancy.platform():  # an address says nothing of its organization
        user = people.find_user_by_email(email=email)
    # Always one hash, and the same statements after it: time reveals no account.
    known = user.password if user else UNUSABLE_PASSWORD_PREFIX
    is_right, is_outdated = verify_password(password, known)
    if user is None or not is_right:
        _refuse(user, email, now, origin)
    with tenancy.organization(user.organization_id):
        opened = _admit(user, email, now, origin)
        if isinstance(opened, DomainError):
            raise opened
        if is_outdated:
            passwords.upgrade(user=user, password=password)
    return opened


def verify_mfa(*, temp_token: str, code: str, now: datetime, origin: Origin) -> Tokens:
    """The second step of a login to the API; `code` is the authenticator's, or a backup code.

    Raises TokenRefused for a temporary token that is no good any more, SecondFactorRefused, and
    AccountLocked after too many wrong codes.
    """
    session = enter_second(temp_token=temp_token, code=code, now=now, origin=origin)
    return sessions.make_tokens(session=session, now=now)


def enter_second(*, temp_token: str, code: str, now: datetime, origin: Origin) -> Session:
    """The same for the door of `origin`: the session instead of its tokens."""
    claims = _read(temp_token)
    with tenancy.organization(UUID(claims["org"])):
        opened = _admit_second(claims, code, now, origin)
    if isinstance(opened, DomainError):
        raise opened
    return opened


def await_factor(
    *, user: User, now: datetime, origin: Origin, restriction: str | None = None
) -> Awaited:
    """Let somebody who proved the first half show their second factor.

    `restriction` is what the session will only be for; None: as the policy says.
    """
    session = Session.objects.create(
        organization=user.organization,
        user=user,
        kind=SessionKind.PENDING,
        ip_address=origin.ip_address,
        user_agent=origin.user_agent[:255],
        created_at=now,
        last_seen_at=now,
        expires_at=now + MfaToken.lifetime,
    )
    token = MfaToken()
    token.payload |= {
        "sub": str(user.pk),
        "sid": str(session.pk),
        "org": str(user.organization_id),
        "iss": "agent-hub",
        "aud": "agent-hub",
        "restriction": restriction,
    }
    token.set_iat(at_time=now)
    token.set_exp(from_time=now)
    return Awaited(str(token))


def note_malformed(*, now: datetime, origin: Origin) -> None:
    """Audit a login that named no account at all."""
    with tenancy.platform():
        _record_failure(None, "missing_fields", {}, now, origin)


def _refuse(user: User | None, email: str, now: datetime, origin: Origin) -> NoReturn:
    """Count and audit a wrong password; raises CredentialsRefused."""
    scope = tenancy.organization(user.organization_id) if user else tenancy.platform()
    with scope, transaction.atomic():
        policy = get_policy(organization_id=user.organization_id if user else NOBODY)
        lockout.count_failure(user_id=user.pk if user else NOBODY, policy=policy, now=now)
        _record_failure(user, _error_kind(user, now), {"email_length": len(email)}, now, origin)
    raise CredentialsRefused


def _error_kind(user: User | None, now: datetime) -> str:
    if user is None:
        return "user_not_found"
    if not (user.is_active and user.organization.is_active):
        return "user_disabled"
    return "locked" if lockout.is_locked(user=user, now=now) else "wrong_password"


@transaction.atomic
def _admit(
    user: User, email: str, now: datetime, origin: Origin
) -> Session | Awaited | DomainError:
    """What the right password opens; a refusal is returned, so that its audit row stays."""
    checked = user.password
    held = User.objects.select_for_update(of=("self",)).select_related("organization")
    user = held.get(pk=user.pk)
    policy = tightening.policy_to_open(organization_id=user.organization_id)
    refusal = _objection(user, policy, now, origin)
    if user.password != checked:
        refusal = CredentialsRefused()  # it was changed since, and its sessions have ended
    if refusal is not None:
        if isinstance(refusal, CredentialsRefused):
            lockout.count_failure(user_id=user.pk, policy=policy, now=now)
        details: dict[str, object] = {"email_length": len(email)}
        _record_failure(user, _error_kind_of(refusal), details, now, origin)
        return refusal
    if user.mfa_enabled_at is not None:
        return await_factor(user=user, now=now, origin=origin)
    opening = Opening(origin.kind, origin.person(user), _action(origin), origin.user_agent)
    return sessions.open_session(user=user, policy=policy, opening=opening, now=now)


@transaction.atomic
def _admit_second(claims: Token, code: str, now: datetime, origin: Origin) -> Session | DomainError:
    user_id, session_id = UUID(claims["sub"]), UUID(claims["sid"])
    held = User.objects.select_for_update(of=("self",)).select_related("organization")
    user = held.filter(pk=user_id).first()
    pending = Session.objects.filter(
        pk=session_id,
        user_id=user_id,
        kind=SessionKind.PENDING,
        revoked_at=None,
        expires_at__gt=now,
    ).first()
    if user is None or pending is None:
        return TokenRefused()
    policy = tightening.policy_to_open(organization_id=user.organization_id)
    refusal = _objection(user, policy, now, origin)
    if refusal is None and not factors.use(user=user, code=code, now=now):
        lockout.count_failure(user_id=user.pk, policy=policy, now=now)
        refusal = SecondFactorRefused()
    if refusal is not None:
        _record_failure(user, _error_kind_of(refusal), {}, now, origin)
        return refusal
    opening = Opening(
        origin.kind,
        origin.person(user),
        _action(origin),
        origin.user_agent,
        now,
        pending,
        claims.get("restriction"),
    )
    return sessions.open_session(user=user, policy=policy, opening=opening, now=now)


def _objection(user: User, policy: Policy, now: datetime, origin: Origin) -> DomainError | None:
    """Why somebody with the right password is not let in."""
    try:
        if lockout.is_locked(user=user, now=now) and lockout.is_silent(user=user, policy=policy):
            return CredentialsRefused()
        lockout.refuse_locked(user=user, now=now)
        if not (user.is_active and user.organization.is_active):
            return AccountDisabled()
        rules = network.read_rules(organization_id=user.organization_id)
        network.check(rules=rules, address=origin.ip_address)
    except DomainError as refusal:
        return refusal
    return None


def _read(temp_token: str) -> Token:
    try:
        claims = MfaToken(temp_token)  # type: ignore[arg-type]  # the library types its own class
        for name in ("sub", "sid", "org"):
            UUID(str(claims[name]))
    except (TokenError, KeyError, ValueError):
        raise TokenRefused("The login took too long. Log in again.") from None
    return claims


def _action(origin: Origin) -> str:
    return "auth.console_login" if origin.kind is SessionKind.CONSOLE else "auth.login"


def _error_kind_of(refusal: DomainError) -> str:
    match refusal:
        case AccountDisabled():
            return "user_disabled"
        case AddressRefused():
            return "address_refused"
        case SecondFactorRefused():
            return "wrong_code"
        case AccountLocked() | CredentialsRefused():
            return "locked"
    return refusal.code


def _record_failure(
    user: User | None, error_kind: str, details: dict[str, object], now: datetime, origin: Origin
) -> None:
    """Of whoever tried only where from and the length of the address (contract 002 A2)."""
    audit.record(
        actor=origin.stranger(),
        organization_id=user.organization_id if user else None,
        action=_action(origin),
        resource_type="user",
        resource_id=user.pk if user else "",
        details={"error_kind": error_kind, **details},
        now=now,
        status=AuditStatus.FAILURE,
    )
