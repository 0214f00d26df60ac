"""Secrets at rest: what they are called, their sealed values, and what used them."""

from datetime import datetime

from django.db import models

from accounts.models import TenantRow


class Secret(TenantRow):
    """A name for a value that changes over time."""

    name = models.CharField(max_length=64)
    category = models.CharField(max_length=64, blank=True)
    description = models.CharField(max_length=500, blank=True)
    # The number of its newest version, the one that is used.
    version = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(null=True, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="secret_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    def has_expired(self, *, now: datetime) -> bool:
        """Whether it may not be used any more."""
        return self.expires_at is not None and self.expires_at <= now


class SecretVersion(TenantRow):
    """One value of a secret, sealed for this row (`kernel.sealing`)."""

    secret = models.ForeignKey(Secret, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    sealed_value = models.BinaryField()
    # By which texts that hold the value are recognised (`kernel.fingerprints.Mark.dump`).
    marks = models.JSONField()
    created_by = models.CharField(max_length=255)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["secret", "number"], name="secret_version_unique")
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class SecretUse(TenantRow):
    """That a version was used for something, and when that was last put on record."""

    secret = models.ForeignKey(Secret, models.CASCADE, related_name="uses", db_index=False)
    number = models.PositiveIntegerField()
    purpose = models.CharField(max_length=128)
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["secret", "number", "purpose"], name="secret_use_unique"
            )
        ]

    def __str__(self) -> str:
        return self.purpose
