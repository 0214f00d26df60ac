"""Wire shapes of accounts (contract 003 B1, decisions 8)."""

from typing import Any

from rest_framework import serializers

from accounts.models import User
from kernel.http.shapes import RowOutput


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


class ProfileInput(serializers.Serializer[Any]):
    """`PUT /auth/me`: only the name; a role is never taken from its owner."""

    full_name = serializers.CharField(max_length=255)


class UserOutput(RowOutput[User]):
    """A person."""

    role = serializers.CharField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "email", "full_name", "role", "is_active", "organization_id", "created_at"]


class TokensOutput(serializers.Serializer[Any]):
    """The pair under each name that the published APIs use for it."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    access_token = serializers.CharField(source="access")
    refresh_token = serializers.CharField(source="refresh")
    token = serializers.CharField(source="access")
    token_type = serializers.CharField(default="bearer")
    expires_at = serializers.DateTimeField()
    user = UserOutput()


class DetailOutput(serializers.Serializer[Any]):
    """One sentence."""

    detail = serializers.CharField()
