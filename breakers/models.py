"""Circuit breakers: what people decide about them. How they stand is in Redis."""

from django.db import models

from accounts.models import TenantRow
from breakers import choices


class CircuitBreaker(TenantRow):
    """The limits of one breaker, and whether somebody forced it (contract 003 B15).

    It opens after `failure_threshold` failures within `window_seconds`, lets trials through
    `recovery_timeout_seconds` later, and closes after `success_threshold` of them succeeded; as
    many run at once. A trial without an end after `trial_timeout_seconds` has failed. `revision`
    goes up with each change: Redis keeps the latest.
    """

    name = models.CharField(max_length=128)
    failure_threshold = models.PositiveIntegerField(default=choices.FAILURE_THRESHOLD)
    window_seconds = models.PositiveIntegerField(default=choices.WINDOW_SECONDS)
    recovery_timeout_seconds = models.PositiveIntegerField(default=choices.RECOVERY_TIMEOUT_SECONDS)
    success_threshold = models.PositiveIntegerField(default=choices.SUCCESS_THRESHOLD)
    trial_timeout_seconds = models.PositiveIntegerField(default=choices.TRIAL_TIMEOUT_SECONDS)
    forced = models.CharField(
        max_length=16, choices=choices.Forced.choices, default=choices.Forced.NOT, blank=True
    )
    revision = models.PositiveIntegerField(default=1)
    # Made by a call, and no person gave it limits.
    is_automatic = models.BooleanField(default=False, db_default=False)
    # The revision of the last reset: Redis closes and forgets when it hears of a later one.
    reset_revision = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="breaker_name_unique")
        ]

    def __str__(self) -> str:
        return self.name
