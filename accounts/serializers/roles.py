"""Wire shapes of roles and of who holds them (contract 002 A3, A4)."""

from typing import Any

from rest_framework import serializers

from accounts.models import Role, RoleAssignment
from kernel.http.shapes import RowOutput, StrictInput


class PermissionOutput(serializers.Serializer[Any]):
    """One entry of the catalogue."""

    key = serializers.CharField()
    group = serializers.CharField()
    description = serializers.CharField()


class RoleInput(StrictInput[Any]):
    """`POST /roles`; whether a role is built in is never the client's to say."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=500, default=list
    )


class RoleChange(StrictInput[Any]):
    """`PATCH /roles/{id}`; `permissions` are the whole set."""

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=500, required=False
    )


class RolePermissionsInput(StrictInput[Any]):
    """`PUT /roles/{id}/permissions`: the whole set."""

    permissions = serializers.ListField(child=serializers.CharField(max_length=64), max_length=500)


class RoleOutput(RowOutput[Role]):
    """A role."""

    permissions = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Role
        fields = [
            "id",
            "name",
            "description",
            "permissions",
            "is_system",
            "created_at",
            "updated_at",
        ]


class UserRoleInput(StrictInput[Any]):
    """`POST /user-roles`; without a scope: for everything."""

    user_id = serializers.UUIDField()
    role_id = serializers.UUIDField()
    scope = serializers.DictField(default=dict)


class UserRoleOutput(RowOutput[RoleAssignment]):
    """One role held by one person, `{}`: for everything. `granted_by` null: by the hub itself."""

    user_id = serializers.UUIDField()
    role_id = serializers.UUIDField()
    role = serializers.CharField(source="role.name")
    scope = serializers.JSONField()
    granted_by = serializers.UUIDField(source="granted_by_id", allow_null=True)
    granted_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = RoleAssignment
        fields = ["id", "user_id", "role_id", "role", "scope", "granted_by", "granted_at"]
