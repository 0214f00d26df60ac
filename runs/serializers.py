"""Wire shapes of direct runs (contract decisions 33, 004 C4)."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from kernel import json_schemas
from kernel.http.shapes import StrictInput
from kernel.json_schemas import SchemaRefused
from runs.choices import LONGEST_SECONDS, RunStatus
from runs.selectors import Outcome
from tools.models import CatalogTool

PROMPT_LIMIT: Final = 200_000
NO_PROMPT: Final = "Send what the agent is asked."


class OutputSchema(serializers.DictField):
    """A JSON Schema (2020-12), at most 64 KB, that asks for what the hub can check."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The schema with its local references put in."""
        value: dict[str, Any] = super().to_internal_value(data)
        try:
            return json_schemas.answer(value)
        except SchemaRefused as reason:
            raise serializers.ValidationError(f"It cannot be used: {reason}.") from None


class PromptInput(serializers.Serializer[Any]):
    """Exactly one of two names of the same thing."""

    prompt = serializers.CharField(max_length=PROMPT_LIMIT, required=False)
    message = serializers.CharField(
        max_length=PROMPT_LIMIT, required=False, help_text="Another name for `prompt`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With the prompt under one name."""
        message = attrs.pop("message", None)
        prompt = attrs.get("prompt", message)
        if prompt is None:
            raise serializers.ValidationError({"prompt": NO_PROMPT}, code="required")
        if message not in {None, prompt}:
            raise serializers.ValidationError({"message": "Send `prompt` alone."})
        return {**attrs, "prompt": prompt}


class RunInput(PromptInput, StrictInput[Any]):
    """`POST /agents/{id}/run` and `/stream`."""

    conversation_id = serializers.UUIDField(
        allow_null=True, default=None, help_text="Go on with it; without one a new one begins."
    )
    output_schema = OutputSchema(
        allow_null=True, default=None, help_text="A JSON Schema that the answer must fit."
    )
    timeout_seconds = serializers.IntegerField(
        min_value=1,
        max_value=LONGEST_SECONDS,
        allow_null=True,
        default=None,
        help_text="Queue and run together; by default the agent's own limit and 30 s.",
    )


class RunUsageOutput(serializers.Serializer[Any]):
    """Tokens of a run."""

    prompt = serializers.IntegerField(source="input_tokens")
    completion = serializers.IntegerField(source="output_tokens")
    total = serializers.IntegerField(source="total_tokens")


class RunOutput(serializers.Serializer[Outcome]):
    """What a run came to."""

    execution_id = serializers.UUIDField(
        allow_null=True, help_text="Of its last attempt; null if no worker came to it."
    )
    task_id = serializers.UUIDField(help_text="The task that the run is.")
    conversation_id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(choices=RunStatus.choices)
    output = serializers.JSONField(
        allow_null=True, help_text="Text, or what fits the `output_schema`; null without an answer."
    )
    error = serializers.CharField(help_text="What went wrong and how to go on; empty on success.")
    error_kind = serializers.CharField(
        help_text="Why, as a word: `approval_pending`, `timeout`, `cancelled`, `goes_on`, …"
    )
    tool_calls = serializers.IntegerField()
    usage = RunUsageOutput(source="*")
    cost_usd = serializers.DecimalField(max_digits=18, decimal_places=8)
    duration_ms = serializers.IntegerField()


class RunStartedOutput(serializers.Serializer[Any]):
    """A run that nobody waits for."""

    task_id = serializers.UUIDField(source="pk")
    conversation_id = serializers.UUIDField()


class AgentCallInput(PromptInput):
    """`POST /agents/{agentName}`; unknown keys are ignored."""

    conversationId = serializers.UUIDField(allow_null=True, required=False)  # noqa: N815 - seed 004's names
    sessionId = serializers.UUIDField(  # noqa: N815 - the same
        allow_null=True, required=False, help_text="Another name for `conversationId`."
    )


class AgentReplyOutput(serializers.Serializer[Any]):
    """The answer of an agent."""

    response = serializers.JSONField(source="output")
    conversationId = serializers.UUIDField(source="conversation_id")  # noqa: N815 - seed 004's name


class AgentCallOutput(serializers.Serializer[Any]):
    """`POST /agents/{agentName}`."""

    success = serializers.BooleanField()
    data = AgentReplyOutput()  # type: ignore[assignment]  # seed 004's name


class InvalidatedOutput(serializers.Serializer[Any]):
    """`POST /agents/{agentName}/invalidate`."""

    success = serializers.BooleanField()
    message = serializers.CharField()


class NamedToolOutput(serializers.Serializer[CatalogTool]):
    """A tool as seed 004 lists it."""

    toolName = serializers.CharField(source="tool_name")  # noqa: N815 - seed 004's names
    serviceName = serializers.CharField(source="service_name")  # noqa: N815 - the same
    description = serializers.CharField()


@extend_schema_serializer(many=False)
class NamedToolsOutput(serializers.Serializer[Any]):
    """`GET /tools`."""

    success = serializers.BooleanField()
    count = serializers.IntegerField()
    tools = NamedToolOutput(many=True)


class RefreshedOutput(InvalidatedOutput):
    """`POST /tools/refresh`; `count` sources are asked."""

    count = serializers.IntegerField()
