"""Overrides: what is changed of an agent at run time, by its name, with all that it was before."""

from typing import Any, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.models import TenantRow
from agents.choices import ResponseFormat
from kernel.models import SoftDeleted


class AgentOverride(TenantRow, SoftDeleted):
    """What counts instead of the configuration of the agent of that name (contract 004 C1).

    Null is "as designed". The agent need not be there yet. `record_version` goes up by one with
    each write, and each is kept as an AgentOverrideRevision.
    """

    agent_name = models.CharField(max_length=255)
    provider = models.CharField(max_length=32, null=True, blank=True)  # noqa: DJ001 - null is "as designed"
    model = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - the same
    system_prompt = models.TextField(null=True, blank=True)  # noqa: DJ001 - the same; an empty one is none
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(2.0)]
    )
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    response_format = models.CharField(  # noqa: DJ001 - null is "as designed"
        max_length=16, choices=ResponseFormat, null=True, blank=True
    )
    # A list of names in the tool catalogue.
    selected_tools = models.JSONField(null=True, blank=True)
    # `{maxToolCalls, timeout (ms), maxTokenBudget}`, each of which may be absent or null.
    guardrails = models.JSONField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    record_version = models.PositiveIntegerField(default=1)
    # Of users; whoever calls with an API key is its owner.
    owner_id = models.UUIDField()
    updated_by = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "agent_name"],
                condition=models.Q(deleted_at=None),
                name="agent_override_name_unique",
            )
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="override_newest")
        ]

    def __str__(self) -> str:
        return self.agent_name

    def values(self) -> dict[str, Any]:
        """What it changes, by field; for comparing and keeping."""
        return {name: getattr(self, name) for name in OVERRIDABLE}


class AgentOverrideRevision(TenantRow):
    """An override as one write left it. Rows never change."""

    override = models.ForeignKey(AgentOverride, models.CASCADE, related_name="revisions")
    # The `record_version` that the write led to.
    number = models.PositiveIntegerField()
    values = models.JSONField()
    created_by = models.CharField(max_length=255, blank=True)
    # The person; null in rows from before it was kept.
    author_id = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["override", "number"], name="override_revision_number")
        ]

    def __str__(self) -> str:
        return f"{self.override_id} r{self.number}"


OVERRIDABLE: Final = (
    "provider",
    "model",
    "system_prompt",
    "temperature",
    "max_tokens",
    "response_format",
    "selected_tools",
    "guardrails",
    "enabled",
)
