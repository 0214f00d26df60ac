"""A login with the organization's provider: begun, sent away, and finished once."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.errors import AccountDisabled, AddressRefused
from accounts.models import Session
from accounts.operations import sessions, vouched
from accounts.operations.login import Awaited, Origin
from accounts.operations.sessions import Tokens
from audit import operations as audit
from audit.choices import AuditStatus
from kernel import ids, sealing, tenancy
from kernel.errors import DomainError, Invalid
from sso import selectors
from sso.clients.claims import Claims
from sso.clients.documents import Line
from sso.clients.provider import Provider
from sso.errors import LoginRefused, StateRefused
from sso.models import PendingLogin
from sso.operations import people
from sso.selectors import Registration

ACTION: Final = "auth.oidc_login"
CALLBACK: Final = "/sso/callback"
PURPOSE: Final = "oidc"
GOOD_FOR: Final = timedelta(minutes=10)
# RFC 8252 §7.3: of programs on the person's own machine; by number, since a name may be rebound.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser; `state` finishes the login once, until `expires_at`."""

    authorization_url: str
    state: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought back from the provider (RFC 6749 §4.1.2, RFC 9207)."""

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the login opened, and the path at which the browser wanted to arrive."""

    opened: Session | Awaited
    aim: str


def begin(
    *,
    organization: str,
    origin: Origin,
    now: datetime,
    redirect_uri: str = "",
    browser: str = "",
    aim: str = "",
) -> Begun:
    """Prepare a login at the provider of the organization with that slug ("": the only one).

    `redirect_uri` is where the provider sends the browser back: the hub's own callback ("") or a
    loopback address. `browser` is a secret of the browser that must come back. Raises
    NotConfigured, ProviderUnavailable, ProviderBusy, and Invalid for another redirect address.
    """
    back = _redirect_uri(redirect_uri)
    organization_id = selectors.get_organization(slug=organization)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    with tenancy.organization(organization_id):
        agreed = selectors.get_registration(organization_id=organization_id)
        address = _provider(agreed, Line(organization_id)).authorization_url(
            redirect_uri=back, scopes=agreed.scopes, state=state, nonce=nonce, verifier=verifier
        )
        pending_id = ids.new()
        PendingLogin.objects.create(
            id=pending_id,
            organization_id=organization_id,
            kind=origin.kind,
            state_hash=_hash(state),
            browser_hash=_hash(browser) if browser else "",
            nonce=nonce,
            sealed_verifier=sealing.seal(verifier.encode(), purpose=PURPOSE, place=str(pending_id)),
            issuer=agreed.issuer,
            client_id=agreed.client_id,
            redirect_uri=back,
            aim=aim,
            created_at=now,
            expires_at=now + GOOD_FOR,
        )
    return Begun(authorization_url=address, state=state, expires_at=now + GOOD_FOR)


def finish(*, answer: Answer, origin: Origin, now: datetime, browser: str = "") -> Finished:
    """Log in whoever the provider says that the code stands for; the state is used up.

    Raises StateRefused, LoginRefused, NotAdmitted, ProviderUnavailable, and what
    `accounts.operations.vouched.enter` raises. Each is audited in the organization whose login it
    was. Raises ProviderBusy before anything is used up: the same answer is good a moment later.
    """
    with tenancy.platform():  # the state says whose login it is
        pending = _find(answer.state, origin, browser, now)
    if pending is None:
        refusal = StateRefused()
        with tenancy.platform():
            _record_failure(None, refusal, origin, now)
        raise refusal
    line = Line(pending.organization_id)
    with tenancy.organization(pending.organization_id), line.hold():
        try:
            _use_up(pending)
            opened = _open(pending, answer, line, origin, now)
        except DomainError as refusal:
            _record_failure(pending.organization_id, refusal, origin, now)
            raise
    return Finished(opened, pending.aim)


def finish_api(*, answer: Answer, origin: Origin, now: datetime) -> Tokens | Awaited:
    """The same for programs: tokens instead of the session."""
    opened = finish(answer=answer, origin=origin, now=now).opened
    if isinstance(opened, Awaited):
        return opened
    with tenancy.organization(opened.organization_id):
        return sessions.make_tokens(session=opened, now=now)


def is_of_a_program(*, state: str, now: datetime) -> bool:
    """Whether a program, not a browser, waits for this answer of the provider."""
    with tenancy.platform():
        waiting = PendingLogin.objects.filter(state_hash=_hash(state), expires_at__gt=now)
        return waiting.filter(browser_hash="").exists()


def forget_logins(*, now: datetime) -> int:
    """Drop logins that nobody finished in time; returns how many."""
    deleted, _ = PendingLogin.objects.filter(expires_at__lte=now).delete()
    return deleted


def _find(state: str, origin: Origin, browser: str, now: datetime) -> PendingLogin | None:
    """The pending login, for the browser and the door that began it."""
    waiting = PendingLogin.objects.filter(expires_at__gt=now)
    pending = waiting.filter(state_hash=_hash(state), kind=origin.kind).first()
    if pending is None:
        return None
    if not hmac.compare_digest(pending.browser_hash, _hash(browser) if browser else ""):
        return None
    return pending


def _use_up(pending: PendingLogin) -> None:
    """It is gone from here on: of two that come at once one gets it. Raises StateRefused."""
    deleted, _ = PendingLogin.objects.filter(pk=pending.pk).delete()
    if not deleted:
        raise StateRefused


def _open(
    pending: PendingLogin, answer: Answer, line: Line, origin: Origin, now: datetime
) -> Session | Awaited:
    agreed = selectors.get_registration(organization_id=pending.organization_id)
    if (agreed.issuer, agreed.client_id) != (pending.issuer, pending.client_id):
        raise StateRefused
    if not answer.code:
        raise LoginRefused("refused_by_provider")
    provider = _provider(agreed, line)
    if answer.issuer or provider.metadata.names_issuer:
        _check_issuer(answer.issuer, provider.metadata.issuer)
    claims = provider.redeem(
        code=answer.code,
        verifier=_open_verifier(pending),
        nonce=pending.nonce,
        redirect_uri=pending.redirect_uri,
        groups_claim=agreed.groups_claim,
    )
    user = people.admit(
        agreed=agreed, issuer=provider.metadata.issuer, claims=claims, origin=origin, now=now
    )
    return vouched.enter(
        user_id=user.pk, mfa_at=_mfa_at(claims, now), action=ACTION, now=now, origin=origin
    )


def _provider(agreed: Registration, line: Line) -> Provider:
    return Provider(
        line, issuer=agreed.issuer, client_id=agreed.client_id, client_secret=agreed.client_secret
    )


def _check_issuer(named: str, issuer: str) -> None:
    """The answer came from the provider that was asked (RFC 9207 §2.4)."""
    if named != issuer:
        raise LoginRefused("mixed_up")


def _mfa_at(claims: Claims, now: datetime) -> datetime | None:
    """When the person showed the provider a second factor; now, if it does not say when."""
    if not claims.has_mfa:
        return None
    return min(now, claims.authenticated_at or now)


def _open_verifier(pending: PendingLogin) -> str:
    sealed = bytes(pending.sealed_verifier)
    try:
        return sealing.unseal(sealed, purpose=PURPOSE, place=str(pending.pk)).decode()
    except sealing.SealBroken:  # the hub's key was changed in between
        raise StateRefused from None


def _redirect_uri(asked: str) -> str:
    own: str = settings.HUB_PUBLIC_URL + CALLBACK
    if asked in {"", own}:
        return own
    try:
        parts = urlsplit(asked)
        is_loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
        is_loopback = is_loopback and (parts.port is None or parts.port > 0)
    except ValueError:
        is_loopback = False
    strange = "@" in asked or "#" in asked or not asked.isprintable() or len(asked) > LONGEST
    if strange or not is_loopback:
        raise Invalid.field(
            "redirect_uri", f"Send {own}, or an address such as http://127.0.0.1:8123/callback."
        )
    return asked


def _hash(secret: str) -> str:
    """The stored form of a random secret; it needs no salt."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


@transaction.atomic
def _record_failure(
    organization_id: UUID | None, refusal: DomainError, origin: Origin, now: datetime
) -> None:
    audit.record(
        actor=origin.stranger(),
        organization_id=organization_id,
        action=ACTION,
        resource_type="user",
        details={"error_kind": _kind(refusal)},
        now=now,
        status=AuditStatus.FAILURE,
    )


def _kind(refusal: DomainError) -> str:
    match refusal:
        case AccountDisabled():
            return "user_disabled"
        case AddressRefused():
            return "address_refused"
    return str(getattr(refusal, "kind", refusal.code))
