"""Wire shapes of sessions and API keys (contract 003 B17)."""

from typing import Any

from rest_framework import serializers

from accounts.choices import READ_SCOPE
from accounts.models import ApiKey, Session
from kernel.http.shapes import RowOutput, StrictInput


class SessionOutput(RowOutput[Session]):
    """A login that counts; `current` is the one by which this is asked."""

    email = serializers.CharField(source="user.email", read_only=True)
    current = serializers.BooleanField(read_only=True)

    class Meta:
        model = Session
        fields = [
            "id",
            "user_id",
            "email",
            "kind",
            "ip_address",
            "user_agent",
            "mfa_at",
            "last_seen_at",
            "expires_at",
            "created_at",
            "current",
        ]


class ApiKeyInput(StrictInput[Any]):
    """`POST /security/api-keys`; scopes are `read`, `write`, or keys of the catalogue."""

    name = serializers.CharField(max_length=255)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=64),
        min_length=1,
        max_length=200,
        default=[READ_SCOPE],
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class ApiKeyOutput(RowOutput[ApiKey]):
    """A key; only its first characters are known."""

    key_prefix = serializers.CharField(source="prefix", read_only=True)

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "key_prefix",
            "scopes",
            "expires_at",
            "last_used_at",
            "created_at",
        ]


class NewApiKeyOutput(serializers.ModelSerializer[ApiKey]):
    """The same with the key itself, this once."""

    key_prefix = serializers.CharField(source="prefix", read_only=True)
    key = serializers.CharField(read_only=True)

    class Meta:
        model = ApiKey
        fields = [*ApiKeyOutput.Meta.fields, "key"]
