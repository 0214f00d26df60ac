"""Limits: how much may run at once, and be asked of models in a minute."""

from django.db import models
from django.db.models import Q

from accounts.models import TenantRow
from limits.choices import NAME_LENGTH, LimitScope


class LimitRule(TenantRow):
    """The limits of an agent (by its id), a provider or a free key of tasks; null is none.

    The name `*` stands for each name of the scope that has no rule of its own, for itself.
    `max_concurrent` counts tasks under a lease, the others model calls of the last 60 seconds.
    """

    scope = models.CharField(max_length=16, choices=LimitScope)
    name = models.CharField(max_length=NAME_LENGTH)
    max_concurrent = models.PositiveIntegerField(null=True, blank=True)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "scope", "name"], name="limit_rule_unique"
            ),
            models.CheckConstraint(
                condition=Q(max_concurrent__isnull=False)
                | Q(requests_per_minute__isnull=False)
                | Q(tokens_per_minute__isnull=False),
                name="limit_rule_limits",
            ),
        ]
        indexes = [
            # What claims look for: whether an organization limits what runs at once.
            models.Index(
                fields=["organization"],
                condition=Q(max_concurrent__isnull=False),
                name="limit_rule_concurrent",
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.name}"
