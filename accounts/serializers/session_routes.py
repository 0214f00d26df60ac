"""Wire shapes of seed 004's routes about the caller (contract 004 C5)."""

from typing import Any

from rest_framework import serializers


class CurrentUserOutput(serializers.Serializer[Any]):
    """The caller's session; `accessToken` only for those who put it into the request themselves."""

    sessionId = serializers.UUIDField()  # noqa: N815 - seed 004's names
    userId = serializers.UUIDField()  # noqa: N815 - the same
    email = serializers.EmailField()
    fullname = serializers.CharField()
    roleId = serializers.CharField()  # noqa: N815 - the same
    tenantId = serializers.UUIDField()  # noqa: N815 - the same
    tenantCodename = serializers.CharField()  # noqa: N815 - the same
    accessToken = serializers.CharField(required=False)  # noqa: N815 - the same


class GivenPermissionOutput(serializers.Serializer[Any]):
    """One permission that the caller holds: for everything, or for the object `objectId`."""

    id = serializers.UUIDField()
    permissionName = serializers.CharField()  # noqa: N815 - the same
    roleId = serializers.CharField()  # noqa: N815 - the same
    subjectUserId = serializers.UUIDField()  # noqa: N815 - the same
    subjectUserGroupId = serializers.UUIDField(allow_null=True)  # noqa: N815 - the same
    objectId = serializers.CharField(allow_null=True)  # noqa: N815 - the same
    canDo = serializers.BooleanField()  # noqa: N815 - the same
    tenantCodename = serializers.CharField()  # noqa: N815 - the same


class PermissionScopeOutput(serializers.Serializer[Any]):
    """Whether the caller holds a permission everywhere, and where it is otherwise."""

    canDo = serializers.BooleanField()  # noqa: N815 - the same
    exceptions = serializers.ListField(child=serializers.CharField())
