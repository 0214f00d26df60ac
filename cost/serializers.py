"""Wire shapes of spending, budgets and prices (contract 003 B14)."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from cost import choices
from cost.choices import BudgetPeriod, BudgetScope, BudgetSource
from cost.models import ModelPrice
from kernel.http.shapes import RowOutput, StrictInput


def _money(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=choices.MONEY_DIGITS, decimal_places=choices.MONEY_PLACES, **options
    )


class ThresholdsField(serializers.ListField):
    """Per cents of the limit, each higher than the one before."""

    child = serializers.IntegerField(min_value=1, max_value=100)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=choices.MOST_THRESHOLDS, **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """As DRF's; raises ValidationError for an order that is not ascending."""
        found: Sequence[int] = super().run_validation(data)
        if list(found) != sorted(set(found)):
            raise serializers.ValidationError("Send ascending numbers, each once.")
        return found


class MonthlyBudgetInput(StrictInput[Any]):
    """`PUT /cost/budget`; what is left out has its default."""

    monthly_limit = _money(min_value=0, required=False)
    monthly_limit_usd = _money(
        min_value=0, required=False, help_text="Another name for monthly_limit."
    )
    alert_thresholds = ThresholdsField(default=list(choices.DEFAULT_THRESHOLDS))
    is_hard = serializers.BooleanField(
        default=False, help_text="Whether it refuses model calls; else it only tells."
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the limit's two names."""
        named = [values.pop(n) for n in ("monthly_limit", "monthly_limit_usd") if n in values]
        if len(named) != 1:
            raise serializers.ValidationError({"monthly_limit": "Send this field, once."})
        return {**values, "monthly_limit": named[0]}


class MonthlyBudgetOutput(serializers.Serializer[Any]):
    """The organization's budget of the month, and what was spent in it."""

    has_budget = serializers.BooleanField()
    monthly_limit = _money(allow_null=True)
    current_spend = _money()
    reserved = _money(help_text="Held for model calls under way.")
    remaining = _money(allow_null=True)
    percent_used = serializers.FloatField(allow_null=True)
    alert_thresholds = serializers.ListField(child=serializers.IntegerField())
    is_over_budget = serializers.BooleanField()
    is_hard = serializers.BooleanField()
    month_start = serializers.DateTimeField()
    resets_at = serializers.DateTimeField()


class BudgetInput(StrictInput[Any]):
    """`POST /budgets`."""

    scope = serializers.ChoiceField(BudgetScope.choices)
    subject_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="Of the agent, task or execution; without it each one has the budget for itself.",
    )
    period = serializers.ChoiceField(BudgetPeriod.choices)
    limit_usd = _money(min_value=0)
    is_hard = serializers.BooleanField(default=False)
    alert_thresholds = ThresholdsField(default=list(choices.DEFAULT_THRESHOLDS))


class BudgetChange(StrictInput[Any]):
    """`PATCH /budgets/{id}`."""

    limit_usd = _money(min_value=0)
    is_hard = serializers.BooleanField()
    alert_thresholds = ThresholdsField()
    is_active = serializers.BooleanField()


class BudgetOutput(serializers.Serializer[Any]):
    """A budget in its present period; sums are null where each subject has its own."""

    id = serializers.UUIDField(source="budget.id")
    source = serializers.ChoiceField(  # type: ignore[assignment]  # the wire's word
        BudgetSource.choices,
        source="budget.source",
        help_text="version: an agent's daily_budget_usd, which only the agent's own changes move.",
    )
    scope = serializers.ChoiceField(BudgetScope.choices, source="budget.scope")
    subject_id = serializers.UUIDField(source="budget.subject_id", allow_null=True)
    period = serializers.ChoiceField(BudgetPeriod.choices, source="budget.period")
    limit_usd = _money(source="budget.limit_usd")
    is_hard = serializers.BooleanField(source="budget.is_hard")
    alert_thresholds = serializers.ListField(
        child=serializers.IntegerField(), source="budget.alert_thresholds"
    )
    is_active = serializers.BooleanField(source="budget.is_active")
    spent_usd = _money(allow_null=True)
    reserved_usd = _money(allow_null=True)
    remaining_usd = _money(allow_null=True)
    percent_used = serializers.FloatField(allow_null=True)
    is_over_budget = serializers.BooleanField(allow_null=True)
    period_start = serializers.DateTimeField(source="starts_at")
    resets_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField(source="budget.created_at")
    updated_at = serializers.DateTimeField(source="budget.updated_at")


class PriceInput(StrictInput[Any]):
    """`POST /prices`: US dollars for a million tokens."""

    provider = serializers.RegexField(
        rf"^{choices.PROVIDER}\Z",
        error_messages={"invalid": "Use letters a-z, digits and . _ - (at most 64)."},
    )
    model = serializers.RegexField(
        rf"^{choices.MODEL_PATTERN}\Z",
        error_messages={
            "invalid": "Use letters, digits and . _ : / @ + - (at most 255), * for anything."
        },
    )
    input_usd = _money(min_value=0)
    output_usd = _money(min_value=0)


class PriceChange(StrictInput[Any]):
    """`PATCH /prices/{id}`."""

    input_usd = _money(min_value=0)
    output_usd = _money(min_value=0)


class PriceOutput(RowOutput[ModelPrice]):
    """What a model costs here."""

    class Meta:
        model = ModelPrice
        fields = [
            "id",
            "provider",
            "model",
            "input_usd",
            "output_usd",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class ProviderCostOutput(serializers.Serializer[Any]):
    """What one provider's calls cost on a day."""

    cost = _money()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()


class DayOutput(serializers.Serializer[Any]):
    """One day of UTC."""

    date = serializers.DateField()
    total_cost = _money(source="sums.cost")
    by_provider = serializers.DictField(child=ProviderCostOutput())
    request_count = serializers.IntegerField(source="sums.request_count")
    unpriced_calls = serializers.IntegerField(
        source="sums.unpriced_calls", help_text="Calls of unknown price, which cost 0 here."
    )


class DailyOutput(serializers.Serializer[Any]):
    """`GET /cost/daily`: oldest first, days without a call included."""

    items = DayOutput(many=True)
    days = serializers.IntegerField()
    total = _money()


class SummaryOutput(serializers.Serializer[Any]):
    """`GET /cost/summary`: the last 30 days, today included."""

    total_30_days = _money()
    daily_average = _money(help_text="Over the days with a call.")
    days_with_data = serializers.IntegerField()
    unpriced_calls = serializers.IntegerField()
    budget = MonthlyBudgetOutput()


class ShareOutput(serializers.Serializer[Any]):
    """Sums over calls."""

    total_cost = _money(source="sums.cost")
    input_tokens = serializers.IntegerField(source="sums.input_tokens")
    output_tokens = serializers.IntegerField(source="sums.output_tokens")
    request_count = serializers.IntegerField(source="sums.request_count")
    unpriced_calls = serializers.IntegerField(source="sums.unpriced_calls")


class AgentShareOutput(ShareOutput):
    """Those of one agent; null: calls of none."""

    agent_id = serializers.UUIDField(source="key", allow_null=True)
    agent_name = serializers.CharField(source="name", help_text="Empty for calls of none.")


class ProviderShareOutput(ShareOutput):
    """Those of one provider."""

    provider = serializers.CharField(source="key")
    avg_cost_per_request = _money(source="sums.avg_cost_per_request")


class AgentSharesOutput(serializers.Serializer[Any]):
    """`GET /cost/by-agent`: the 200 dearest first; `total` and `count` are of all."""

    items = AgentShareOutput(many=True)
    period_days = serializers.IntegerField()
    total = _money()
    count = serializers.IntegerField()


class ProviderSharesOutput(serializers.Serializer[Any]):
    """`GET /cost/by-provider`: the dearest first."""

    items = ProviderShareOutput(many=True)
    period_days = serializers.IntegerField()
    total = _money()
    count = serializers.IntegerField()
