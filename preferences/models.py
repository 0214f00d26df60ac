"""What an organization set for itself."""

from django.db import models

from kernel.models import Row


class StoredSetting(Row):
    """One setting that differs from its default; of a secret only the sealed form is kept."""

    # No foreign key: organizations live above, where the settings' readers are.
    organization_id = models.UUIDField()
    key = models.CharField(max_length=100)
    value = models.JSONField(null=True)
    # `kernel.sealing`, purpose PURPOSE, placed by `place`.
    sealed_value = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "key"], name="stored_setting_key"),
            models.CheckConstraint(
                condition=models.Q(value__isnull=True) ^ models.Q(sealed_value__isnull=True),
                name="stored_setting_one_form",
            ),
        ]

    def __str__(self) -> str:
        return self.key
