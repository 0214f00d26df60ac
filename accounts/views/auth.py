"""Routes of `/api/v1/auth`: logging in, and one's own account."""

from typing import Any, ClassVar, cast

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import Restriction
from accounts.errors import (
    AccountDisabled,
    AccountLocked,
    AddressRefused,
    CredentialsRefused,
    EmailTaken,
    PasswordRefused,
    RefreshReused,
    RegistrationClosed,
    SecondFactorRefused,
    TokenRefused,
)
from accounts.models import User
from accounts.operations import login, passwords, profile, registration, sessions
from accounts.operations.login import Awaited, Origin
from accounts.operations.sessions import Tokens
from accounts.selectors import policy
from accounts.serializers.auth import (
    ChangePasswordInput,
    DetailOutput,
    LoginInput,
    LogoutInput,
    MfaRequiredOutput,
    ProfileInput,
    RefreshInput,
    RegisterInput,
    TokensOutput,
    UserOutput,
    VerifyMfaInput,
)
from kernel import clock, tenancy
from kernel.http.viewsets import HubViewSet
from kernel.permissions import ANYONE, PERSON


class PublicAuthViewSet(HubViewSet):
    """What must work without a token."""

    noun = "auth"
    http_method_names = ["post"]
    authentication_classes = []
    permission_classes = [AllowAny]
    one_time_secret = True
    rate_limits: ClassVar = {"login": "login", "verify_mfa": "login", "register": "register"}
    refusals: ClassVar = {
        "login": (CredentialsRefused, AccountDisabled, AddressRefused, AccountLocked),
        "verify_mfa": (
            TokenRefused,
            SecondFactorRefused,
            AccountDisabled,
            AddressRefused,
            AccountLocked,
        ),
        "refresh": (TokenRefused, RefreshReused, AddressRefused),
        "register": (RegistrationClosed, AddressRefused, EmailTaken),
    }

    @extend_schema(
        request=LoginInput,
        responses={
            200: PolymorphicProxySerializer(
                component_name="Login",
                serializers=[TokensOutput, MfaRequiredOutput],
                resource_type_field_name=None,
            )
        },
    )
    def login(self, request: Request) -> Response:
        """Open a session with e-mail and password, or begin the second step."""
        asked = self.read(LoginInput)
        found = login.log_in(**asked, origin=_origin(request), now=clock.now())
        if isinstance(found, Awaited):
            return Response(MfaRequiredOutput(found).data)
        return _answer(found)

    @extend_schema(request=VerifyMfaInput, responses={200: TokensOutput})
    def verify_mfa(self, request: Request) -> Response:
        """The second step of a login."""
        asked = self.read(VerifyMfaInput)
        tokens = login.verify_mfa(
            temp_token=asked["temp_token"],
            code=asked.get("totp_code") or asked["backup_code"],
            origin=_origin(request),
            now=clock.now(),
        )
        return _answer(tokens)

    @extend_schema(request=RefreshInput, responses={200: TokensOutput})
    def refresh(self, request: Request) -> Response:
        """Swap a refresh token for a new pair; the old one ends."""
        asked = self.read(RefreshInput)
        token = asked.get("refresh_token") or asked["refresh"]
        address = _origin(request).ip_address
        return _answer(sessions.refresh(token=token, ip_address=address, now=clock.now()))

    @extend_schema(request=RegisterInput, responses={201: UserOutput})
    def register(self, request: Request) -> Response:
        """Make an account for oneself, where the organization lets strangers."""
        user = registration.register(
            **self.read(RegisterInput), actor=_origin(request).stranger(), now=clock.now()
        )
        tenancy.enter(user.organization_id)
        return Response(UserOutput(user).data, status=status.HTTP_201_CREATED)

    def handle_exception(self, exc: Exception) -> Response:
        """As DRF's; a login that names no account is audited too (contract 002 A2)."""
        if self.action == "login" and isinstance(exc, ValidationError):
            login.note_malformed(origin=_origin(self.request), now=clock.now())
        return super().handle_exception(exc)


class ProfileViewSet(HubViewSet):
    """The caller's own account."""

    noun = "profile"
    http_method_names = ["get", "put", "post"]
    permissions: ClassVar = {
        "retrieve": ANYONE,
        "update": PERSON,
        "logout": PERSON,
        "change_password": PERSON,
    }
    lifts: ClassVar = {
        "change_password": frozenset({Restriction.PASSWORD}),
        "logout": frozenset(Restriction),
    }
    refusals: ClassVar = {"change_password": (PasswordRefused, AccountLocked)}
    # Its body holds passwords: nothing of it is kept.
    secret_actions = frozenset({"change_password"})
    detail = False

    @extend_schema(responses={200: UserOutput})
    def retrieve(self, request: Request) -> Response:
        """Who the token stands for."""
        user, known = caller(request), request.caller  # type: ignore[attr-defined]
        user.mfa_due_at = None if known.mfa_at else policy.find_mfa_due(user=user)
        return Response(UserOutput(user).data)

    @extend_schema(request=ProfileInput, responses={200: UserOutput})
    def update(self, request: Request) -> Response:
        """Change the own displayed name."""
        user = profile.rename_user(
            user=caller(request), **self.read(ProfileInput), actor=self.actor, now=clock.now()
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

    @extend_schema(request=ChangePasswordInput, responses={200: DetailOutput})
    def change_password(self, request: Request) -> Response:
        """Set a new password; every other session of the caller ends."""
        passwords.change_password(
            user=caller(request),
            session_id=request.session_id,  # type: ignore[attr-defined]
            **self.read(ChangePasswordInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"detail": "The password was changed; your other sessions have ended."})


def caller(request: Request) -> User:
    """Who asks; the permission let nobody else in."""
    return cast("User", request.user)


def _origin(request: Request) -> Origin:
    return Origin(
        ip_address=request.META.get("REMOTE_ADDR") or None,
        user_agent=request.headers.get("User-Agent", ""),
        request_id=getattr(request, "request_id", ""),
    )


def _answer(tokens: Tokens) -> Response:
    tenancy.enter(tokens.user.organization_id)
    tokens.user.mfa_due_at = policy.find_mfa_due(user=tokens.user)
    shown: Any = TokensOutput(tokens)
    return Response(shown.data)
