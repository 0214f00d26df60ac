"""Wire shapes of people, for those who administer them (contract 003 B8, decisions 10)."""

from typing import Any

from rest_framework import serializers

from accounts.choices import UserRole
from accounts.models import User
from kernel.http.shapes import RowOutput, StrictInput


class PersonInput(StrictInput[Any]):
    """`POST /admin/users`; `role` is the name of any role of the organization."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)
    full_name = serializers.CharField(max_length=255, allow_blank=True, default="")
    role = serializers.CharField(max_length=100, default=UserRole.VIEWER.value)


class PersonChange(StrictInput[Any]):
    """`PATCH /admin/users/{id}`."""

    full_name = serializers.CharField(max_length=255, allow_blank=True, required=False)
    is_active = serializers.BooleanField(required=False)
    role = serializers.CharField(max_length=100, required=False)


class PasswordResetInput(StrictInput[Any]):
    """`POST /admin/users/{id}/reset-password`; without a password one is made up."""

    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, allow_blank=True, default="", write_only=True
    )


class PasswordResetOutput(serializers.Serializer[Any]):
    """The password that was made up, this once; null for one that was sent."""

    password = serializers.CharField(allow_null=True)
    must_change = serializers.BooleanField()


class PersonOutput(RowOutput[User]):
    """A person. `role` sums their roles up; `/users/{id}/roles` lists them all."""

    role = serializers.CharField(read_only=True)
    mfa_enabled = serializers.SerializerMethodField()
    last_login_at = serializers.DateTimeField(source="last_login", allow_null=True, read_only=True)

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "full_name",
            "role",
            "is_active",
            "mfa_enabled",
            "locked_until",
            "confirm_locked_until",
            "last_login_at",
            "created_at",
        ]

    def get_mfa_enabled(self, user: User) -> bool:
        """Whether logging in takes a second factor."""
        return user.mfa_enabled_at is not None
