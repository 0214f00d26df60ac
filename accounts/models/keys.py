"""Keys: of people's programs, and of remote agents."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models.organization import TenantRow
from accounts.models.user import User


class ApiKey(TenantRow):
    """Lets a program act for its owner, within `scopes` (contract 003 B17).

    A scope is a key of the permission catalogue, or `read` or `write` (`accounts.choices`). The key
    never has a right that its owner has not: both are compared at each request.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    name = models.CharField(max_length=255)
    prefix = models.CharField(max_length=16)
    # HMAC-SHA256 under the hub's secret key: a stolen table opens nothing.
    key_hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=64))
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="api_key_user")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_alive(self, *, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AgentKey(TenantRow):
    """A shared secret by which remote agents of an organization make themselves known."""

    name = models.CharField(max_length=255)
    prefix = models.CharField(max_length=12)
    # HMAC-SHA256 under the hub's secret key: a stolen table opens nothing.
    key_hash = models.CharField(max_length=64, unique=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
