"""Logins: to the API, and to the console; and those that wait for a second factor."""

from datetime import datetime

from django.db import models

from accounts.choices import Restriction, SessionKind
from accounts.models.organization import TenantRow
from accounts.models.user import User
from kernel import clock, display


class Session(TenantRow):
    """One login: the family of its tokens. Revoking it ends them with the next request."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=SessionKind, default=SessionKind.API)
    # What it is for only, until that is done; "": for everything.
    restriction = models.CharField(
        max_length=16, choices=Restriction, blank=True, default="", db_default=""
    )
    # The one refresh token that is good now; an older one coming back means theft. The console
    # has none.
    refresh_jti = models.CharField(max_length=64, blank=True)
    # When the person last showed a second factor in it.
    mfa_at = models.DateTimeField(null=True, blank=True)
    # To the minute: nobody writes a row for each request.
    last_seen_at = models.DateTimeField(default=clock.now)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="session_user"),
            models.Index(fields=["organization", "-created_at"], name="session_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.device or self.get_kind_display()}"

    @property
    def device(self) -> str:
        """Where the login came from, in words; "" if it did not say."""
        return display.device(self.user_agent)

    def is_alive(self, *, now: datetime) -> bool:
        """Whether its tokens still count."""
        return self.revoked_at is None and now < self.expires_at
