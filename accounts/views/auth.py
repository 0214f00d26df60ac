"""Routes of `/api/v1/auth`."""

from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.operations import profile, sessions
from accounts.serializers.auth import (
    DetailOutput,
    LoginInput,
    LogoutInput,
    ProfileInput,
    RefreshInput,
    TokensOutput,
    UserOutput,
)
from kernel import clock
from kernel.http.viewsets import HubViewSet
from kernel.permissions import ANYONE, PERSON


class PublicAuthViewSet(HubViewSet):
    """What must work without a token."""

    noun = "auth"
    http_method_names = ["post"]
    authentication_classes = []
    permission_classes = [AllowAny]
    one_time_secret = True

    @extend_schema(request=LoginInput, responses={200: TokensOutput})
    def login(self, request: Request) -> Response:
        """Open a session with e-mail and password."""
        asked = self.read(LoginInput)
        tokens = sessions.log_in(**asked, **_origin(request), now=clock.now())
        return Response(TokensOutput(tokens).data)

    @extend_schema(request=RefreshInput, responses={200: TokensOutput})
    def refresh(self, request: Request) -> Response:
        """Swap a refresh token for a new pair; the old one ends."""
        asked = self.read(RefreshInput)
        token = asked.get("refresh_token") or asked["refresh"]
        address = _origin(request)["ip_address"]
        return Response(
            TokensOutput(sessions.refresh(token=token, ip_address=address, now=clock.now())).data
        )


class ProfileViewSet(HubViewSet):
    """The caller's own account."""

    noun = "profile"
    http_method_names = ["get", "put", "post"]
    permissions: ClassVar = {
        "retrieve": ANYONE,
        "update": PERSON,
        "logout": PERSON,
    }
    detail = False

    @extend_schema(responses={200: UserOutput})
    def retrieve(self, request: Request) -> Response:
        """Who the token stands for."""
        return Response(UserOutput(_caller(request)).data)

    @extend_schema(request=ProfileInput, responses={200: UserOutput})
    def update(self, request: Request) -> Response:
        """Change the own displayed name."""
        user = profile.rename_user(
            user=_caller(request), **self.read(ProfileInput), actor=self.actor, now=clock.now()
        )
        return Response(UserOutput(user).data)

    @extend_schema(request=LogoutInput, responses={200: DetailOutput})
    def logout(self, request: Request) -> Response:
        """End the session that the token belongs to."""
        self.read(LogoutInput)
        sessions.log_out(
            session_id=request.session_id,  # type: ignore[attr-defined]
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"detail": "Logged out."})


def _caller(request: Request) -> User:
    return cast("User", request.user)  # the permission let nobody else in


def _origin(request: Request) -> dict[str, Any]:
    return {
        "ip_address": request.META.get("REMOTE_ADDR") or None,
        "user_agent": request.headers.get("User-Agent", ""),
        "request_id": getattr(request, "request_id", ""),
    }
