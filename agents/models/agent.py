"""Agents and the immutable versions of their configuration."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.models import TenantRow
from agents.choices import AgentKind, AgentStatus, AgentType, AutonomyLevel
from kernel.models import SoftDeleted


class Agent(TenantRow, SoftDeleted):
    """Who does work. What it is told and allowed is in its `current_version`."""

    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=16, choices=AgentKind, default=AgentKind.HOSTED)
    agent_type = models.CharField(
        max_length=16, choices=AgentType, default=AgentType.DYNAMIC, db_default=AgentType.DYNAMIC
    )
    role = models.CharField(max_length=64, default="general")
    email = models.EmailField(blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    worker_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=AgentStatus, default=AgentStatus.OFFLINE)
    is_active = models.BooleanField(default=False)
    current_version = models.ForeignKey(
        "agents.AgentVersion", models.PROTECT, null=True, related_name="+"
    )
    tasks_completed = models.PositiveIntegerField(default=0)
    tasks_failed = models.PositiveIntegerField(default=0)
    total_tokens_used = models.PositiveBigIntegerField(default=0)
    total_cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    total_duration_ms = models.PositiveBigIntegerField(default=0)
    last_active_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"],
                condition=models.Q(deleted_at=None),
                name="agent_name_unique",
            )
        ]
        indexes = [models.Index(fields=["organization", "-created_at"], name="agent_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def success_rate(self) -> float:
        """Completed tasks among the finished ones, 0 to 1; 0 before the first."""
        finished = self.tasks_completed + self.tasks_failed
        return self.tasks_completed / finished if finished else 0.0

    @property
    def average_task_duration_seconds(self) -> float:
        """Mean wall time of the finished tasks' last attempts."""
        finished = self.tasks_completed + self.tasks_failed
        return self.total_duration_ms / 1000 / finished if finished else 0.0


class AgentVersion(TenantRow):
    """One configuration of an agent. Rows never change: an attempt is pinned to one."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    llm_provider = models.CharField(max_length=32, default="anthropic")
    llm_model = models.CharField(max_length=128, blank=True)
    system_prompt = models.TextField(blank=True)
    temperature = models.FloatField(
        default=0.7, validators=[MinValueValidator(0.0), MaxValueValidator(2.0)]
    )
    max_tokens = models.PositiveIntegerField(default=4096, validators=[MinValueValidator(1)])
    enabled_tools = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    tool_blacklist = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    max_concurrent_tasks = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    max_tool_calls = models.PositiveSmallIntegerField(
        default=25, validators=[MaxValueValidator(100)]
    )
    timeout_seconds = models.PositiveIntegerField(
        default=120, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    # 0 means no cap, here and below (contract 003 B2).
    max_tokens_per_task = models.PositiveIntegerField(default=0)
    daily_budget_usd = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    memory_limit_mb = models.PositiveIntegerField(default=512)
    autonomy_level = models.CharField(
        max_length=16, choices=AutonomyLevel, default=AutonomyLevel.AUTONOMOUS
    )
    risk_rules = models.JSONField(default=dict, blank=True)
    # `provider:model`, tried in this order when the first model cannot be called.
    fallback_models = ArrayField(
        models.CharField(max_length=161), default=list, db_default=[], blank=True
    )
    created_by = models.CharField(max_length=255, blank=True)
    # The person, who asks for what the agent does by it; whoever calls with a key is its owner.
    author_id = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "number"], name="agent_version_number")
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} v{self.number}"

    @property
    def usable_tools(self) -> tuple[str, ...]:
        """Enabled tools but for the blacklisted, in order."""
        return tuple(t for t in self.enabled_tools if t not in self.tool_blacklist)

    def configuration(self) -> dict[str, Any]:
        """The configuration fields by name, for comparing and copying."""
        return {name: getattr(self, name) for name in CONFIGURATION}


# Everything that shapes a run; changing one of these makes a new version.
CONFIGURATION = (
    "llm_provider",
    "llm_model",
    "system_prompt",
    "temperature",
    "max_tokens",
    "enabled_tools",
    "tool_blacklist",
    "max_concurrent_tasks",
    "max_tool_calls",
    "timeout_seconds",
    "max_tokens_per_task",
    "daily_budget_usd",
    "memory_limit_mb",
    "autonomy_level",
    "risk_rules",
    "fallback_models",
)
