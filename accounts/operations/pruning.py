"""Forgetting what has ended long ago."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from accounts.choices import SessionKind
from accounts.models import Session

# As long somebody may ask who was logged in from where; the audit trail keeps the login itself.
KEPT: Final = timedelta(days=30)
PENDING_KEPT: Final = timedelta(days=1)
BATCH: Final = 500


def prune_sessions(*, now: datetime) -> int:
    """Delete sessions that ended over 30 days ago, and logins that waited in vain for a second
    factor, in small batches; returns how many. For the platform's scope."""
    ended = Q(expires_at__lt=now - KEPT) | Q(revoked_at__lt=now - KEPT)
    waited = Q(kind=SessionKind.PENDING, expires_at__lt=now - PENDING_KEPT)
    deleted = 0
    while True:
        old = Session.objects.filter(ended | waited).order_by("pk").values_list("pk", flat=True)
        count, _ = Session.objects.filter(pk__in=list(old[:BATCH])).delete()
        deleted += count
        if count < BATCH:
            return deleted
