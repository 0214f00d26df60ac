"""From where an organization may be reached."""

from django.db import models

from accounts.choices import IpAction
from accounts.models.organization import TenantRow


class IpRule(TenantRow):
    """One network that is let in or kept out (contract 003 B17)."""

    cidr = models.CharField(max_length=43)
    action = models.CharField(max_length=5, choices=IpAction)
    description = models.CharField(max_length=255, blank=True)
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "position"], name="ip_rule_position")
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.cidr}"
