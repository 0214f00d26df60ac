"""HTTP's two questions: whose token is this, and does its owner hold the action's permission."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import TokenRefused
from accounts.models import User
from accounts.operations import callers
from accounts.selectors import people
from kernel import clock
from kernel.actors import Actor
from kernel.http.headers import CHALLENGE


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; `request.user` is a User, `request.auth` an Actor."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        """None without the header (the permission then answers 401); raises TokenRefused."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused("Send `Authorization: Bearer <token>`.")
        caller = callers.identify(token=token.strip(), now=clock.now())
        request.session_id = caller.session_id  # type: ignore[attr-defined]
        actor = people.actor_of(
            user=caller.user,
            ip_address=request.META.get("REMOTE_ADDR") or None,
            request_id=getattr(request, "request_id", ""),
        )
        return caller.user, actor

    def authenticate_header(self, request: Request) -> str:
        """The `WWW-Authenticate` challenge of a 401."""
        return CHALLENGE


class NamedPermission(BasePermission):
    """Deny by default: the view names a permission for the action, and the caller holds it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """False for a stranger (401), for an action without a name and for a lacking role (403)."""
        if not isinstance(request.user, User):
            return False
        permission = getattr(view, "permissions", {}).get(getattr(view, "action", None))
        return permission is not None and people.may(user=request.user, permission=permission)
