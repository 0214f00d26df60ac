"""The usage ledger."""

from django.db import models

from accounts.models import TenantRow
from kernel import display


class UsageRecord(TenantRow):
    """One model call: its tokens and what they cost.

    `agent_id`, `task_id`, `execution_id` and `user_id` are plain columns: the ledger outlives what
    it bills. (`execution_id`, `ordinal`) makes booking the same call twice harmless.
    `input_tokens` includes those read from or written to the provider's cache.
    """

    agent_id = models.UUIDField(null=True, blank=True)
    task_id = models.UUIDField(null=True, blank=True)
    execution_id = models.UUIDField(null=True, blank=True)
    user_id = models.UUIDField(null=True, blank=True)
    ordinal = models.PositiveIntegerField(default=0)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=255)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cache_read_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    is_priced = models.BooleanField(default=False)
    price_source = models.CharField(max_length=64, blank=True)
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution_id", "ordinal"], name="usage_record_call"),
            models.CheckConstraint(
                condition=models.Q(cost_usd__gte=0), name="usage_record_cost_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "task_id"], name="usage_record_task"),
            models.Index(
                fields=["organization", "-occurred_at", "-id"], name="usage_record_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} for {display.money(self.cost_usd)}"
