"""Wire shapes of logging in, and of one's own account (contract 003 B1, decisions 8)."""

from typing import Any, Final

from rest_framework import serializers

from accounts.choices import Restriction
from accounts.models import User
from kernel.http.shapes import RowOutput, StrictInput

FLAGS: Final[dict[str, str]] = {
    Restriction.PASSWORD: "password_expired",
    Restriction.MFA: "mfa_enrollment_required",
}


class LoginInput(serializers.Serializer[Any]):
    """`POST /auth/login`."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)


class RefreshInput(serializers.Serializer[Any]):
    """`POST /auth/refresh`; either name."""

    refresh_token = serializers.CharField(max_length=4096, required=False)
    refresh = serializers.CharField(max_length=4096, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two names must be there."""
        if not attrs:
            raise serializers.ValidationError({"refresh_token": "This field is required."})
        return attrs


class LogoutInput(serializers.Serializer[Any]):
    """`POST /auth/logout`; the body is optional and its token is not needed."""

    refresh_token = serializers.CharField(max_length=4096, required=False)


class VerifyMfaInput(serializers.Serializer[Any]):
    """`POST /auth/verify-mfa`; either kind of code."""

    temp_token = serializers.CharField(max_length=4096)
    totp_code = serializers.RegexField(r"^[0-9]{3} ?[0-9]{3}$", required=False)
    backup_code = serializers.CharField(max_length=32, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two must be there."""
        if ("totp_code" in attrs) == ("backup_code" in attrs):
            raise serializers.ValidationError({"totp_code": "Send this or `backup_code`."})
        return attrs


class RegisterInput(serializers.Serializer[Any]):
    """`POST /auth/register`; `organization` is a slug, needed where the hub has several."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)
    full_name = serializers.CharField(max_length=255, allow_blank=True, default="")
    organization = serializers.SlugField(max_length=64, allow_blank=True, default="")


class ChangePasswordInput(StrictInput[Any]):
    """`POST /auth/change-password`."""

    current_password = serializers.CharField(
        max_length=1024, trim_whitespace=False, write_only=True
    )
    new_password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)


class ProfileInput(serializers.Serializer[Any]):
    """`PUT /auth/me`: only the name; a role is never taken from its owner."""

    full_name = serializers.CharField(max_length=255)


class UserOutput(RowOutput[User]):
    """A person, to themselves.

    `mfa_due_at` is when they need a second factor to log in, if they need one and have none.
    """

    role = serializers.CharField(read_only=True)
    mfa_enabled = serializers.BooleanField(source="has_mfa", read_only=True)
    mfa_due_at = serializers.DateTimeField(allow_null=True, read_only=True)

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "full_name",
            "role",
            "is_active",
            "mfa_enabled",
            "mfa_due_at",
            "organization_id",
            "created_at",
        ]


class TokensOutput(serializers.Serializer[Any]):
    """The pair under each name that the published APIs use for it.

    `password_expired` and `mfa_enrollment_required` are only there when they are true: then the
    session is good for nothing but changing that.
    """

    access = serializers.CharField()
    refresh = serializers.CharField()
    access_token = serializers.CharField(source="access")
    refresh_token = serializers.CharField(source="refresh")
    token = serializers.CharField(source="access")
    token_type = serializers.CharField(default="bearer")
    expires_at = serializers.DateTimeField()
    user = UserOutput()
    password_expired = serializers.BooleanField(required=False)
    mfa_enrollment_required = serializers.BooleanField(required=False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """With the restriction, if there is one."""
        shown: dict[str, Any] = super().to_representation(instance)
        if instance.restriction:
            shown[FLAGS[instance.restriction]] = True
        return shown


class MfaRequiredOutput(serializers.Serializer[Any]):
    """The password was right; `temp_token` goes to `POST /auth/verify-mfa` within 5 minutes."""

    mfa_required = serializers.BooleanField(default=True)
    temp_token = serializers.CharField()


class DetailOutput(serializers.Serializer[Any]):
    """One sentence."""

    detail = serializers.CharField()
