"""Roles, and who holds them for what."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from accounts.models.organization import TenantRow
from accounts.models.user import User


class Role(TenantRow):
    """A named set of permissions (contract 002 A4); system roles are edited, never deleted."""

    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    permissions = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    is_system = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", Lower("name"), name="role_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class RoleAssignment(TenantRow):
    """One role held by one person, for everything (`scope` {}) or for what the scope names.

    `scope` maps names such as `environment` to texts; contract 002 A4 says how it is compared.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="assignments")
    role = models.ForeignKey(Role, models.CASCADE, related_name="assignments")
    scope = models.JSONField(default=dict, blank=True)
    # Null: given by the hub itself.
    granted_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "scope"], name="assignment_unique")
        ]

    def __str__(self) -> str:
        return f"{self.role} for {self.user}"
