"""Wire shapes of second factors (contract 003 B1)."""

from typing import Any

from rest_framework import serializers

from kernel.http.shapes import StrictInput


class CodeInput(StrictInput[Any]):
    """A code of the authenticator, or a backup code."""

    code = serializers.CharField(max_length=32)


class PasswordAndCodeInput(CodeInput):
    """Both factors: for what would weaken the account."""

    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)


class EnrollmentOutput(serializers.Serializer[Any]):
    """Shown once; the pictures are `data:` addresses of an SVG and of a PNG."""

    secret = serializers.CharField()
    otpauth_url = serializers.CharField()
    qr_code = serializers.CharField()
    qr_code_png = serializers.CharField()


class BackupCodesOutput(serializers.Serializer[Any]):
    """Shown once."""

    mfa_enabled = serializers.BooleanField(default=True)
    backup_codes = serializers.ListField(child=serializers.CharField())


class SteppedUpOutput(serializers.Serializer[Any]):
    """Until when the second factor counts as fresh."""

    fresh_until = serializers.DateTimeField()
