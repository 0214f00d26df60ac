"""HTTP's two questions: whose token is this, and does its owner hold the action's permission."""

from collections.abc import Container, Mapping
from typing import Any, Final

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.choices import API_KEYS, Restriction
from accounts.errors import CsrfRefused, MfaEnrollmentRequired, PasswordExpired, TokenRefused
from accounts.models import User
from accounts.operations import callers, stepup
from accounts.selectors import network
from kernel import clock, tenancy
from kernel.actors import Actor
from kernel.errors import Forbidden
from kernel.http import csrf
from kernel.http.headers import CHALLENGE
from kernel.permissions import ANYONE, PERSON

QUERY: Final = "access_token"
# Also the name of a cookie (contract decisions 32).
HEADER: Final = "agenthub-access-token"
KEY_HEADER: Final = "X-API-Key"


class SessionTokenAuthentication(BaseAuthentication):
    """An access token or an API key; `request.user` is a User, `request.auth` an Actor.

    The first that is found wins (contract 004 C0): `?access_token=`, which is off by default, since
    addresses end up in logs; `Authorization: Bearer`; the headers `agenthub-access-token` and
    `X-API-Key`; the cookie, which a browser sends by itself and so takes Django's CSRF check.
    `request.caller` is what `callers.identify` found.
    """

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        """None without a token (the permission then answers 401).

        Raises TokenRefused, CsrfRefused, or AddressRefused.
        """
        # DRF keeps what its own errors leave behind; of ours it would ask again, and fail again.
        request.user = request.auth = None  # type: ignore[assignment]  # DRF's stubs know no nobody
        token = sent_token(request)
        if token is None and (token := request.COOKIES.get(HEADER)) and csrf.is_forged(request):
            raise CsrfRefused
        if not token:
            return None
        caller = callers.identify(token=token, now=clock.now())
        request.caller = caller  # type: ignore[attr-defined]
        request.session_id = caller.session_id  # type: ignore[attr-defined]
        tenancy.enter(caller.user.organization_id)
        address = request.META.get("REMOTE_ADDR") or None
        actor = caller.actor(
            ip_address=address,
            request_id=getattr(request, "request_id", ""),
        )
        request.auth = actor  # of somebody who is turned away for their address, too
        network.check(rules=caller.rules, address=address)
        return caller.user, actor

    def authenticate_header(self, request: Request) -> str:
        """The `WWW-Authenticate` challenge of a 401."""
        return CHALLENGE


class NamedPermission(BasePermission):
    """Deny by default: the view names a permission for the action, and the caller holds it.

    Without more it must be held everywhere. A view whose objects belong to something that roles can
    be given for answers `permission_scope(subject, body)`; then a grant for that is enough. The
    actions in its `step_up` may ask for a fresh second factor (`operations.stepup`), those in its
    `persons_only` are for no API key. `lifts` names the actions for which a session is good that is
    only for one thing (`accounts.choices.Restriction`), and which of those.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """False for a stranger (401) and for an action without a name (403).

        Raises Forbidden, which names the permission, for somebody who lacks it, and what
        `stepup.require` raises.
        """
        if not isinstance(request.user, User):
            return False
        permission = getattr(view, "permissions", {}).get(getattr(view, "action", None))
        if permission is None:
            return False
        user = request.user
        _check_restriction(user, permission, getattr(view, "lifts", {}).get(view.action, ()))
        if not (user.may(permission) or user.may(permission, _scope(request, view))):
            raise _refusal(user, permission)
        if view.action in getattr(view, "persons_only", ()) and not user.may(PERSON):
            raise _refusal(user, PERSON)
        if view.action in getattr(view, "step_up", ()):
            caller: callers.Caller = request.caller  # type: ignore[attr-defined]
            stepup.require(user=user, mfa_at=caller.mfa_at, now=clock.now())
        return True


def sent_token(request: Request) -> str | None:
    """The token that the client put into the request itself; None without one.

    Raises TokenRefused for an `Authorization` header of another kind.
    """
    if settings.HUB_QUERY_TOKENS and (token := request.query_params.get(QUERY)):
        return str(token)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("Send `Authorization: Bearer <token>`.")
        return token.strip()
    return request.headers.get(HEADER) or request.headers.get(KEY_HEADER) or None


def _scope(request: Request, view: Any) -> Mapping[str, str]:
    """What the action is about, as far as roles can be given for it."""
    ask = getattr(view, "permission_scope", None)
    if ask is None:
        return {}
    subject = getattr(view, "subject", None)
    found: Mapping[str, str] = ask(subject, None if subject is not None else request.data)
    return found


def _check_restriction(user: User, permission: str, lifted: Container[str]) -> None:
    """Whoever is to change their password, or to enrol, does that and nothing else."""
    restriction = user.rights.restriction
    if not restriction or permission == ANYONE or restriction in lifted:
        return
    if restriction != Restriction.PASSWORD:
        raise MfaEnrollmentRequired
    raise PasswordExpired(PasswordExpired.temporary if user.password_is_temporary else "")


def _refusal(user: User, permission: str) -> Forbidden:
    limit = user.rights.limit
    if limit is not None and permission in {PERSON, API_KEYS}:
        detail = "An API key cannot do this. Log in."
    elif limit is not None and permission not in limit:
        detail = f"The scopes of this API key lack `{permission}`. Use a key that has it."
    else:
        detail = f"This needs the permission `{permission}`. Ask an administrator for it."
    return Forbidden(detail, data={"permission": permission})
