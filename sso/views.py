"""Routes of `/api/v1/auth/oidc`: logging in with an identity provider, for programs."""

from typing import Any, ClassVar

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import AccountDisabled, AddressRefused
from accounts.operations.login import Awaited, Origin
from accounts.serializers.auth import MfaRequiredOutput, TokensOutput
from kernel import clock, tenancy
from kernel.http.viewsets import HubViewSet
from sso.errors import (
    LoginRefused,
    NotAdmitted,
    NotConfigured,
    ProviderBusy,
    ProviderUnavailable,
    StateRefused,
)
from sso.operations import logins
from sso.operations.logins import Answer
from sso.serializers import FinishInput, StartInput, StartOutput


class OidcViewSet(HubViewSet):
    """A login that a program begins and finishes, with a browser in between."""

    noun = "oidc"
    http_method_names = ["post"]
    authentication_classes = []
    permission_classes = [AllowAny]
    one_time_secret = True
    rate_limits: ClassVar = {"start": "login", "finish": "login"}
    refusals: ClassVar = {
        "start": (NotConfigured, AddressRefused, ProviderUnavailable, ProviderBusy),
        "finish": (
            StateRefused,
            LoginRefused,
            NotConfigured,
            NotAdmitted,
            AccountDisabled,
            AddressRefused,
            ProviderUnavailable,
            ProviderBusy,
        ),
    }

    @extend_schema(request=StartInput, responses={200: StartOutput})
    def start(self, request: Request) -> Response:
        """Begin a login: send a browser to `authorization_url`."""
        asked = self.read(StartInput)
        begun = logins.begin(**asked, origin=_origin(request), now=clock.now())
        return Response(StartOutput(begun).data)

    @extend_schema(
        request=FinishInput,
        responses={
            200: PolymorphicProxySerializer(
                component_name="Login",
                serializers=[TokensOutput, MfaRequiredOutput],
                resource_type_field_name=None,
            )
        },
    )
    def finish(self, request: Request) -> Response:
        """Open a session for whoever logged in at the provider, as a login with a password does."""
        asked = self.read(FinishInput)
        answer = Answer(state=asked["state"], code=asked["code"], issuer=asked["iss"])
        found = logins.finish_api(answer=answer, origin=_origin(request), now=clock.now())
        if isinstance(found, Awaited):
            return Response(MfaRequiredOutput(found).data)
        tenancy.enter(found.user.organization_id)
        shown: Any = TokensOutput(found)
        return Response(shown.data)


def _origin(request: Request) -> Origin:
    return Origin(
        ip_address=request.META.get("REMOTE_ADDR") or None,
        user_agent=request.headers.get("User-Agent", ""),
        request_id=getattr(request, "request_id", ""),
    )
