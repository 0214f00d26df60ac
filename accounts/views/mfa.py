"""Routes of `/api/v1/auth/mfa`, and step-up."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import Restriction
from accounts.errors import (
    AccountLocked,
    CodeRefused,
    FactorTooYoung,
    MfaAlreadyEnabled,
    MfaNotEnabled,
    PasswordRefused,
)
from accounts.operations import mfa, stepup
from accounts.serializers.auth import DetailOutput
from accounts.serializers.mfa import (
    BackupCodesOutput,
    CodeInput,
    EnrollmentOutput,
    PasswordAndCodeInput,
    SteppedUpOutput,
)
from accounts.views.auth import caller
from kernel import clock
from kernel.http.viewsets import HubViewSet
from kernel.permissions import PERSON


class MfaViewSet(HubViewSet):
    """The caller's own second factor."""

    noun = "mfa"
    http_method_names = ["post"]
    permissions: ClassVar = {
        "begin": PERSON,
        "verify": PERSON,
        "disable": PERSON,
        "renew_backup_codes": PERSON,
        "freshen": PERSON,
    }
    lifts: ClassVar = {
        "begin": frozenset({Restriction.MFA}),
        "verify": frozenset({Restriction.MFA}),
    }
    refusals: ClassVar = {
        "begin": (MfaAlreadyEnabled,),
        "verify": (CodeRefused, MfaAlreadyEnabled, MfaNotEnabled, AccountLocked),
        "disable": (PasswordRefused, CodeRefused, MfaNotEnabled, AccountLocked),
        "renew_backup_codes": (PasswordRefused, CodeRefused, MfaNotEnabled, AccountLocked),
        "freshen": (CodeRefused, MfaNotEnabled, AccountLocked, FactorTooYoung),
    }
    detail = False
    one_time_secret = True

    @extend_schema(request=None, responses={200: EnrollmentOutput})
    def begin(self, request: Request) -> Response:
        """A secret for an authenticator; nothing changes until `verify`."""
        enrollment = mfa.begin(user=caller(request), actor=self.actor, now=clock.now())
        return Response(EnrollmentOutput(enrollment).data)

    @extend_schema(request=CodeInput, responses={200: BackupCodesOutput})
    def verify(self, request: Request) -> Response:
        """Turn the second factor on with a first code; answers the backup codes, once."""
        codes = mfa.confirm(
            user=caller(request),
            session_id=request.session_id,  # type: ignore[attr-defined]
            code=self.read(CodeInput)["code"],
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"mfa_enabled": True, "backup_codes": codes})

    @extend_schema(request=PasswordAndCodeInput, responses={200: DetailOutput})
    def disable(self, request: Request) -> Response:
        """Turn it off, with both factors."""
        mfa.disable(
            user=caller(request),
            session_id=request.session_id,  # type: ignore[attr-defined]
            **self.read(PasswordAndCodeInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"detail": "The second factor is off."})

    @extend_schema(request=PasswordAndCodeInput, responses={200: BackupCodesOutput})
    def renew_backup_codes(self, request: Request) -> Response:
        """New backup codes; those of before are gone."""
        codes = mfa.renew_backup_codes(
            user=caller(request),
            session_id=request.session_id,  # type: ignore[attr-defined]
            **self.read(PasswordAndCodeInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"mfa_enabled": True, "backup_codes": codes})

    @extend_schema(request=CodeInput, responses={200: SteppedUpOutput})
    def freshen(self, request: Request) -> Response:
        """Show the second factor again, for what asks for a fresh one."""
        until = stepup.step_up(
            user=caller(request),
            session_id=request.session_id,  # type: ignore[attr-defined]
            **self.read(CodeInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(SteppedUpOutput({"fresh_until": until}).data)
