"""Who people are at an identity provider, and logins that it has not answered yet."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.choices import SessionKind
from accounts.models import TenantRow, User


class Identity(TenantRow):
    """Who a user is at an OpenID provider: its issuer and their subject there."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    # Role assignments that the groups gave, and may take again: those given by hand stay.
    given = ArrayField(models.UUIDField(), default=list)

    class Meta:
        constraints = [
            # Within the organization: another one may say what it likes of the same issuer.
            models.UniqueConstraint(
                fields=["organization", "issuer", "subject"], name="identity_unique"
            ),
            models.UniqueConstraint(fields=["user", "issuer"], name="identity_one_for_user"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class PendingLogin(TenantRow):
    """A login that went to the provider. It is good once, until it expires."""

    # The door at which it began and must come back.
    kind = models.CharField(max_length=8, choices=SessionKind)
    # SHA-256 of the state, and of the cookie of the browser that began it (empty for programs).
    state_hash = models.CharField(max_length=64, unique=True)
    browser_hash = models.CharField(max_length=64, blank=True)
    nonce = models.CharField(max_length=64)
    # PKCE; `kernel.sealing`, purpose "oidc", placed by the row's id.
    sealed_verifier = models.BinaryField()
    # What was configured when it began: a code is never sent to another provider.
    issuer = models.CharField(max_length=255)
    client_id = models.CharField(max_length=2000)
    redirect_uri = models.CharField(max_length=500)
    # Where the browser goes afterwards: a path of the hub.
    aim = models.CharField(max_length=2000, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="pending_login_expiry")]

    def __str__(self) -> str:
        return f"login at {self.issuer} until {self.expires_at:%Y-%m-%d %H:%M:%S}"
