"""Wire shapes of agents and their versions (contract 003 B2)."""

import math
from decimal import Decimal
from typing import Any, Final

from rest_framework import serializers

from agents.choices import AgentKind, AgentStatus, AgentType, AutonomyLevel
from agents.models import Agent, AgentVersion
from agents.models.agent import CONFIGURATION
from kernel.http.shapes import RowOutput, StrictInput

PROMPT_LIMIT: Final = 200_000


class ToolNames(serializers.ListField):
    """Names of tools, each once."""

    child = serializers.CharField(max_length=128)

    def to_internal_value(self, data: Any) -> list[str]:
        """The names in the order given."""
        return list(dict.fromkeys(super().to_internal_value(data)))


class FiniteFloat(serializers.FloatField):
    """A number, but none of the "nan" and "inf" that DRF takes and JSON cannot hold."""

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        value: float = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class RiskRulesInput(StrictInput[Any]):
    """Limits on what an agent may do by itself; a misspelt one would be none."""

    max_file_delete_mb = FiniteFloat(min_value=0, required=False)
    require_approval_for = ToolNames(max_length=200, required=False)
    block_external_api = serializers.BooleanField(required=False)


class AgentInput(serializers.Serializer[Any]):
    """`POST /agents`; the same without required fields and defaults for `PATCH`."""

    name = serializers.CharField(max_length=255)
    description = serializers.CharField(max_length=10_000, allow_blank=True, default="")
    kind = serializers.ChoiceField(choices=[AgentKind.HOSTED.value], default=AgentKind.HOSTED.value)
    role = serializers.CharField(max_length=64, default="general")
    email = serializers.EmailField(allow_blank=True, default="")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=50, default=list
    )
    worker_id = serializers.UUIDField(allow_null=True, default=None)
    llm_provider = serializers.CharField(
        max_length=32,
        allow_blank=True,
        default="",
        help_text="Without one: HUB_PROVIDER, else anthropic, else what this hub has.",
    )
    llm_model = serializers.CharField(max_length=128, allow_blank=True, default="")
    system_prompt = serializers.CharField(
        max_length=PROMPT_LIMIT, allow_blank=True, trim_whitespace=False, default=""
    )
    temperature = FiniteFloat(min_value=0, max_value=2, default=0.7)
    max_tokens = serializers.IntegerField(min_value=1, max_value=1_000_000, default=4096)
    enabled_tools = ToolNames(
        max_length=200,
        default=list,
        help_text="Names of the catalogue, and `agent:<name>` for agents that it may call.",
    )
    tool_blacklist = ToolNames(max_length=200, default=list)
    max_concurrent_tasks = serializers.IntegerField(min_value=1, max_value=1000, default=3)
    max_tool_calls = serializers.IntegerField(min_value=0, max_value=100, default=25)
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=600, default=120)
    max_tokens_per_task = serializers.IntegerField(
        min_value=0, max_value=2_000_000_000, default=0, help_text="0 means no cap."
    )
    daily_budget_usd = serializers.DecimalField(
        max_digits=12,
        decimal_places=4,
        min_value=0,
        default=Decimal(0),
        help_text="0 means no cap.",
    )
    memory_limit_mb = serializers.IntegerField(min_value=1, max_value=1_000_000, default=512)
    autonomy_level = serializers.ChoiceField(
        choices=AutonomyLevel.choices, default=AutonomyLevel.AUTONOMOUS.value
    )
    risk_rules = RiskRulesInput(default=dict)
    fallback_models = serializers.ListField(
        child=serializers.CharField(max_length=161),
        max_length=5,
        default=list,
        help_text="`provider:model`, tried in this order when the first one cannot be called.",
    )


class AgentOutput(RowOutput[Agent]):
    """An agent with its effective configuration flat beside it."""

    kind = serializers.ChoiceField(choices=AgentKind.choices)
    agent_type = serializers.ChoiceField(choices=AgentType.choices)
    status = serializers.ChoiceField(choices=AgentStatus.choices)
    version = serializers.IntegerField(source="current_version.number")
    success_rate = serializers.FloatField(help_text="0 to 1.")
    average_task_duration_seconds = serializers.FloatField()

    class Meta:
        model = Agent
        fields = [
            "id",
            "name",
            "description",
            "kind",
            "agent_type",
            "role",
            "email",
            "tags",
            "worker_id",
            "status",
            "is_active",
            "version",
            "tasks_completed",
            "tasks_failed",
            "success_rate",
            "average_task_duration_seconds",
            "total_tokens_used",
            "total_cost_usd",
            "last_active_at",
            "created_at",
            "updated_at",
        ]

    def get_fields(self) -> dict[str, Any]:
        """The registry's fields and those of the current version."""
        fields: dict[str, Any] = super().get_fields()
        configured = VersionFields().get_fields()
        for name in CONFIGURATION:
            configured[name].source = f"current_version.{name}"
        return {**fields, **configured}


class VersionFields(serializers.ModelSerializer[AgentVersion]):
    """The configuration as it is shown."""

    class Meta:
        model = AgentVersion
        fields = CONFIGURATION


class AgentVersionOutput(RowOutput[AgentVersion]):
    """One immutable version."""

    class Meta:
        model = AgentVersion
        fields = ["id", "number", *CONFIGURATION, "created_by", "created_at"]


class VersionChangeOutput(serializers.Serializer[Any]):
    """One field in which two versions differ."""

    field = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()
    diff = serializers.CharField(help_text="Of the prompt, as a unified diff.")


class VersionDiffOutput(serializers.Serializer[Any]):
    """What version `after` has otherwise than version `before`."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()
    changes = VersionChangeOutput(many=True)
