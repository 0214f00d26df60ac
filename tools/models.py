"""Where tools come from, which there are, and what people decided about each."""

from typing import TYPE_CHECKING, Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import TenantRow
from tools import choices
from tools.choices import SideEffect, SourceKind


class ToolSource(TenantRow):
    """A server whose tools are in the catalogue (contract 004 C3).

    An MCP server is reached at `url` or by `command`, the name of a command line that the hub's
    environment allows. An OpenAPI service is described at `url` or in `document`. Values of
    `headers` may hold `{secret:name}`, which the vault fills in when a call is made.
    """

    name = models.CharField(max_length=40)
    kind = models.CharField(max_length=16, choices=SourceKind.choices)
    url = models.CharField(max_length=2_000, blank=True)
    command = models.CharField(max_length=64, blank=True)
    document = models.TextField(blank=True)
    server_url = models.CharField(max_length=2_000, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    include = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    exclude = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    is_enabled = models.BooleanField(default=True)
    refresh_seconds = models.PositiveIntegerField(default=choices.REFRESH_SECONDS)
    # Goes up with each change of what is above: a refresh that began before writes nothing.
    revision = models.PositiveIntegerField(default=1)
    # That in which it was said anew where it is and what it is sent. Tools that were listed before
    # are not called: credentials would go to where they were.
    reached_revision = models.PositiveIntegerField(default=1, db_default=1)

    # When it is asked again; who asks has it until `claimed_until`.
    next_refresh_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    last_refreshed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    is_stale = models.BooleanField(default=False)
    # The protocol it spoke last, such as `MCP 2025-11-25`; and listed tools that cannot be used.
    protocol = models.CharField(max_length=64, blank=True)
    left_out = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="tool_source_name_unique")
        ]
        indexes = [
            models.Index(
                fields=["next_refresh_at"],
                condition=models.Q(is_enabled=True),
                name="tool_source_due",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_pasted(self) -> bool:
        """Whether its description is kept here instead of asked for."""
        return self.kind == SourceKind.OPENAPI and not self.url


class CatalogTool(TenantRow):
    """A tool that agents can be given, and the policy for its calls.

    What the source says of it (`declared_*`) holds until a person says otherwise; null in a column
    of the policy is as declared. Of side effect and repeating it is the strictest that the source
    ever said, and `listed_*` what it says now, null if that is the same. Without a source it is one
    that every hub has.
    """

    source = models.ForeignKey(
        ToolSource, models.CASCADE, null=True, blank=True, related_name="tools"
    )
    tool_name = models.CharField(max_length=170)
    service_name = models.CharField(max_length=40)
    description = models.TextField(blank=True)
    parameters = models.JSONField(default=dict)
    # How the source's client calls it.
    binding = models.JSONField(default=dict, blank=True)
    declared_side_effect = models.CharField(max_length=8, choices=SideEffect.choices)
    declared_idempotent = models.BooleanField(default=False)
    declared_roles = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    listed_side_effect = models.CharField(  # noqa: DJ001 - null is as declared
        max_length=8, choices=SideEffect.choices, null=True, blank=True
    )
    listed_idempotent = models.BooleanField(null=True, blank=True)
    # The source's when it listed the tool.
    source_revision = models.PositiveIntegerField(default=1, db_default=1)
    last_refreshed_at = models.DateTimeField()
    is_stale = models.BooleanField(default=False)
    # Gone from its source. A row with a policy stays, so that what a person decided is still there
    # when the tool is back; so do others for a while, for what the source has said of them.
    removed_at = models.DateTimeField(null=True, blank=True)

    has_policy = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    side_effect = models.CharField(  # noqa: DJ001 - null is as declared
        max_length=8, choices=SideEffect.choices, null=True, blank=True
    )
    is_idempotent = models.BooleanField(null=True, blank=True)
    timeout_seconds = models.PositiveIntegerField(default=choices.TIMEOUT_SECONDS)
    output_limit_bytes = models.PositiveIntegerField(default=choices.OUTPUT_LIMIT_BYTES)
    needs_approval = models.BooleanField(default=False)
    approval_rule_id = models.UUIDField(null=True, blank=True)
    # Ids of agents; empty: all of them.
    allowed_agents = ArrayField(models.UUIDField(), default=list, blank=True)
    # Names of roles, one of which whoever asks must hold; empty: anybody.
    required_roles = ArrayField(models.CharField(max_length=100), null=True, blank=True)

    if TYPE_CHECKING:
        source_id: Any

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "tool_name"], name="catalog_tool_name_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["tool_name"],
                condition=models.Q(source=None),
                name="catalog_tool_builtin",
            )
        ]

    def __str__(self) -> str:
        return self.tool_name

    @property
    def said_side_effect(self) -> str:
        """What its source says now."""
        return self.listed_side_effect or self.declared_side_effect

    @property
    def said_idempotent(self) -> bool:
        """What its source says now."""
        return (
            self.declared_idempotent if self.listed_idempotent is None else self.listed_idempotent
        )

    @property
    def awaits_refresh(self) -> bool:
        """Whether its source is somewhere else, or is sent something else, since it listed it."""
        return self.source is not None and self.source_revision < self.source.reached_revision

    @property
    def effective_side_effect(self) -> str:
        """As a person said, else as declared."""
        return self.side_effect or self.declared_side_effect

    @property
    def effective_idempotent(self) -> bool:
        """As a person said, else as declared."""
        return self.declared_idempotent if self.is_idempotent is None else self.is_idempotent

    @property
    def effective_roles(self) -> list[str]:
        """As a person said, else as declared."""
        return self.declared_roles if self.required_roles is None else self.required_roles
