"""Budgets, what counts against them, and what is reserved."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import TenantRow
from cost import choices
from cost.choices import BudgetPeriod, BudgetScope, BudgetSource
from kernel import display


class Budget(TenantRow):
    """How much may be spent (contract 003 B14).

    `subject_id` is the agent, task or execution; None of another scope than the organization's
    means each one of them for itself. A hard budget refuses model calls, a soft one only tells.
    One of the source `version` is the `daily_budget_usd` of an agent's current version.
    Budgets are never deleted: one that was replaced or removed is no longer active.
    """

    source = models.CharField(
        max_length=8,
        choices=BudgetSource,
        default=BudgetSource.PERSON,
        db_default=BudgetSource.PERSON,
    )
    scope = models.CharField(max_length=16, choices=BudgetScope)
    # Of higher floors, hence a plain column.
    subject_id = models.UUIDField(null=True, blank=True)
    period = models.CharField(max_length=8, choices=BudgetPeriod)
    limit_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES
    )
    is_hard = models.BooleanField(default=False)
    alert_thresholds = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "source", "scope", "subject_id", "period"],
                condition=Q(is_active=True),
                nulls_distinct=False,
                name="budget_active_once",
            ),
            models.CheckConstraint(condition=Q(limit_usd__gte=0), name="budget_limit_not_negative"),
            models.CheckConstraint(
                condition=~Q(scope=BudgetScope.ORGANIZATION) | Q(subject_id=None),
                name="budget_organization_has_no_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}, {display.money(self.limit_usd)} a {self.period}"


class BudgetWindow(TenantRow):
    """One budget over one period of one subject: what was spent in it, and what is reserved.

    It is made when the first call is asked for, and `spent_usd` is the sum of the ledger's rows
    from then on, at any moment. Those without `budget_id` are of a time when agents' own daily
    limits were no budgets.
    `alerted_percent` is the highest threshold that was told of, under the limit of that moment.
    """

    budget_id = models.UUIDField(null=True, blank=True)
    scope = models.CharField(max_length=16, choices=BudgetScope)
    subject_id = models.UUIDField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    spent_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES, default=0
    )
    reserved_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES, default=0
    )
    alerted_percent = models.PositiveSmallIntegerField(default=0)
    alerted_limit_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES, default=0
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "budget_id", "subject_id", "starts_at"],
                nulls_distinct=False,
                name="budget_window_unique",
            ),
            models.CheckConstraint(
                condition=Q(reserved_usd__gte=0), name="budget_window_reserved_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["subject_id", "ends_at"], name="budget_window_subject"),
            models.Index(fields=["ends_at"], name="budget_window_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} from {self.starts_at:%Y-%m-%d}: {display.money(self.spent_usd)}"


class Reservation(models.Model):
    """The worst case of a model call that is under way, held in every window that it counts in.

    It knows what the ledger's row needs, for a call whose answer nobody gets.
    """

    organization_id = models.UUIDField()
    execution_id = models.UUIDField()
    ordinal = models.PositiveIntegerField()
    agent_id = models.UUIDField(null=True)
    task_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    provider = models.CharField(max_length=64, db_default="")
    model = models.CharField(max_length=255, db_default="")
    amount_usd = models.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES
    )
    window_ids = ArrayField(models.UUIDField())
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution_id", "ordinal"], name="reservation_call")
        ]
        indexes = [models.Index(fields=["created_at"], name="reservation_age")]

    def __str__(self) -> str:
        return f"{display.money(self.amount_usd)} for call {self.ordinal}"
