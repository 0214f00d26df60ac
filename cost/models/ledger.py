"""The usage ledger, and its sums by day."""

from django.db import models
from django.db.models import Func, Value

from accounts.models import TenantRow
from kernel import display


class UsageRecord(TenantRow):
    """One model call: its tokens and what they cost.

    `agent_id`, `task_id`, `execution_id` and `user_id` are plain columns: the ledger outlives what
    it bills. (`execution_id`, `ordinal`) makes booking the same call twice harmless; a call without
    `ordinal` got no answer, and another model's was asked for under its number.
    `input_tokens` includes those read from or written to the provider's cache. `occurred_at` is
    when its cost was reserved; without a budget, when it was booked. `number` orders rows as they
    were booked: `operations.rollup` goes by it.
    """

    agent_id = models.UUIDField(null=True, blank=True)
    task_id = models.UUIDField(null=True, blank=True)
    execution_id = models.UUIDField(null=True, blank=True)
    user_id = models.UUIDField(null=True, blank=True)
    ordinal = models.PositiveIntegerField(null=True, blank=True, default=0)
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
    number = models.BigIntegerField(
        editable=False, db_default=Func(Value("cost_usagerecord_number"), function="nextval")
    )

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
            models.Index(fields=["organization", "number"], name="usage_record_number"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} for {display.money(self.cost_usd)}"


class UsageDay(models.Model):
    """What an agent spent at a provider on one day (UTC), of rows up to the organization's mark.

    No TenantRow here and below: a foreign key would lock the organization's row at every insert.
    """

    organization_id = models.UUIDField()
    day = models.DateField()
    agent_id = models.UUIDField(null=True, blank=True)
    provider = models.CharField(max_length=64)
    calls = models.PositiveBigIntegerField()
    unpriced_calls = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "day", "agent_id", "provider"],
                name="usage_day_unique",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["organization_id", "agent_id", "day"], name="usage_day_agent")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.provider}: {display.money(self.cost_usd)}"


class UsageMark(models.Model):
    """Up to which `number` the organization's ledger is in its days."""

    organization_id = models.UUIDField(primary_key=True)
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"up to {self.number}"
