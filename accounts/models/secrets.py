"""What people prove themselves with, beside the password."""

from django.db import models

from accounts.models.organization import TenantRow
from accounts.models.user import User


class TotpDevice(TenantRow):
    """The authenticator of a user; `User.mfa_enabled_at` says whether it was confirmed."""

    user = models.OneToOneField(User, models.CASCADE, related_name="+")
    # `kernel.sealing`, purpose "totp", placed by the row's id.
    sealed_secret = models.BinaryField()
    # The last time step that was accepted: a code is good once (RFC 6238 §5.2).
    last_step = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"authenticator of {self.user_id}"


class BackupCode(TenantRow):
    """A code for once, for somebody without their authenticator."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "code_hash"], name="backup_code_unique")
        ]

    def __str__(self) -> str:
        return f"backup code of {self.user_id}"


class PastPassword(TenantRow):
    """A password that its owner had, as a hash: it may not come back (contract 003 B1)."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    password = models.CharField(max_length=128)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="past_password_user")]

    def __str__(self) -> str:
        return f"past password of {self.user_id}"
