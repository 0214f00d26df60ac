"""Prices of the organization's own."""

from django.db import models
from django.db.models import Q

from accounts.models import TenantRow
from cost import choices


class ModelPrice(TenantRow):
    """What a model costs here, in US dollars for a million tokens; it goes before the price list.

    `model` may hold `*` for anything, case does not count; of several that fit, the longest counts.
    Cached input costs like other input. 0 is a price.
    """

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=255)
    input_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES
    )
    output_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "provider", "model"], name="model_price_unique"
            ),
            models.CheckConstraint(
                condition=Q(input_usd__gte=0, output_usd__gte=0), name="model_price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"
