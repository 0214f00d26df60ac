"""Wire shapes of tools and their sources (contract 004 C3)."""

from typing import Any

from rest_framework import serializers

from kernel.http.shapes import RowOutput, StrictInput
from tools import choices
from tools.choices import SideEffect, SourceKind
from tools.models import CatalogTool, ToolSource


def _texts(length: int, most: int, **options: Any) -> Any:
    return serializers.ListField(
        child=serializers.CharField(max_length=length), max_length=most, required=False, **options
    )


class SourceChange(StrictInput[Any]):
    """What a person says of a source."""

    url = serializers.CharField(
        max_length=2_000,
        required=False,
        allow_blank=True,
        help_text="Of the MCP endpoint, the OpenAPI document or the service.",
    )
    command = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        help_text="Name of a command line in HUB_MCP_COMMANDS, for an MCP server over stdio.",
    )
    document = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text="An OpenAPI document, JSON or YAML, instead of its address.",
    )
    server_url = serializers.CharField(
        max_length=2_000,
        required=False,
        allow_blank=True,
        help_text="Where an OpenAPI service is called, instead of what its document says.",
    )
    headers = serializers.DictField(
        child=serializers.CharField(max_length=4_000, allow_blank=True),
        required=False,
        help_text="Values may hold `{secret:name}`, which the vault fills in at each call.",
    )
    include = _texts(128, 100, help_text="Names or patterns (`get_*`); empty: all.")
    exclude = _texts(128, 100, help_text="The same; what is excluded is not included.")
    is_enabled = serializers.BooleanField(required=False)
    refresh_seconds = serializers.IntegerField(
        min_value=choices.LEAST_REFRESH_SECONDS,
        max_value=choices.MOST_REFRESH_SECONDS,
        required=False,
    )


class SourceInput(SourceChange):
    """`POST /tool-sources`."""

    name = serializers.RegexField(
        rf"^{choices.NAME}\Z", error_messages={"invalid": choices.NAME_RULE}
    )
    kind = serializers.ChoiceField(SourceKind.choices)


class LeftOutOutput(serializers.Serializer[Any]):
    """A listed tool that cannot be used."""

    name = serializers.CharField()
    reason = serializers.CharField()


class SourceOutput(RowOutput[ToolSource]):
    """A source, and how asking it went last."""

    kind = serializers.ChoiceField(SourceKind.choices)
    has_document = serializers.BooleanField(source="is_pasted")
    headers = serializers.DictField(child=serializers.CharField())
    left_out = LeftOutOutput(many=True)

    class Meta:
        model = ToolSource
        fields = [
            "id",
            "name",
            "kind",
            "url",
            "command",
            "has_document",
            "server_url",
            "headers",
            "include",
            "exclude",
            "is_enabled",
            "refresh_seconds",
            "protocol",
            "last_refreshed_at",
            "is_stale",
            "last_error",
            "left_out",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class FoundOutput(serializers.Serializer[Any]):
    """A tool as its source describes it now."""

    name = serializers.CharField()
    description = serializers.CharField()
    parameters = serializers.DictField()


class TestOutput(serializers.Serializer[Any]):
    """What a source answers now."""

    protocol = serializers.CharField()
    tools = FoundOutput(many=True)
    left_out = LeftOutOutput(many=True)


class PolicyInput(StrictInput[Any]):
    """`PATCH /tools/{id}`: what is left out stays; null is as the source declares."""

    is_enabled = serializers.BooleanField(required=False)
    side_effect = serializers.ChoiceField(SideEffect.choices, required=False, allow_null=True)
    is_idempotent = serializers.BooleanField(required=False, allow_null=True)
    timeout_seconds = serializers.IntegerField(
        min_value=1, max_value=choices.MOST_TIMEOUT_SECONDS, required=False
    )
    output_limit_bytes = serializers.IntegerField(
        min_value=100,
        max_value=choices.MOST_OUTPUT_BYTES,
        required=False,
        help_text="What the model sees of an output; the record keeps all of it.",
    )
    needs_approval = serializers.BooleanField(required=False)
    approval_rule_id = serializers.UUIDField(required=False, allow_null=True)
    allowed_agents = serializers.ListField(
        child=serializers.UUIDField(), max_length=500, required=False, help_text="Empty: all."
    )
    required_roles = _texts(
        100, 50, allow_null=True, help_text="Whoever asks must hold one; empty: anybody."
    )


class ToolOutput(RowOutput[CatalogTool]):
    """A tool and the policy for its calls."""

    side_effect = serializers.ChoiceField(SideEffect.choices, source="effective_side_effect")
    is_idempotent = serializers.BooleanField(source="effective_idempotent")
    declared_side_effect = serializers.ChoiceField(
        SideEffect.choices,
        source="said_side_effect",
        help_text="As the source says now. What it called stricter before stays so in `side_effect`"
        " until a person sets that.",
    )
    declared_idempotent = serializers.BooleanField(
        source="said_idempotent", help_text="The same, of `is_idempotent`."
    )
    awaits_refresh = serializers.BooleanField(
        help_text="Its source is elsewhere now and has not listed it there: it is not called."
    )
    required_roles = serializers.ListField(child=serializers.CharField(), source="effective_roles")
    parameters = serializers.DictField(help_text="JSON Schema (2020-12).")
    source_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = CatalogTool
        fields = [
            "id",
            "tool_name",
            "service_name",
            "source_id",
            "description",
            "parameters",
            "is_enabled",
            "side_effect",
            "is_idempotent",
            "declared_side_effect",
            "declared_idempotent",
            "timeout_seconds",
            "output_limit_bytes",
            "needs_approval",
            "approval_rule_id",
            "allowed_agents",
            "required_roles",
            "has_policy",
            "is_stale",
            "awaits_refresh",
            "last_refreshed_at",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields
