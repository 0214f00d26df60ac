"""Wire shapes of overrides and executions in seed 004's dialect (contract 004 C1, C2)."""

import json
from typing import Any, Final

from rest_framework import serializers

from agents.choices import (
    SOURCES,
    STATUSES,
    AgentType,
    ExecutionStatus,
    PublishedSource,
    PublishedStatus,
    ResponseFormat,
)
from agents.models import AgentExecution
from agents.selectors import SHOWN_CHARACTERS
from agents.serializers.agents import PROMPT_LIMIT, FiniteFloat, ToolNames
from kernel.http.shapes import StrictInput

CUT: Final = "… [cut at 10,000 characters]"


class ToolSelection(ToolNames):
    """A list of tool names, or the same as JSON text."""

    def to_internal_value(self, data: Any) -> list[str]:
        """The names in the order given."""
        return super().to_internal_value(_parsed(data))


class GuardrailsInput(StrictInput[Any]):
    """Limits of a run, or the same as JSON text; null is as designed."""

    maxToolCalls = serializers.IntegerField(
        min_value=0, max_value=100, required=False, allow_null=True
    )
    timeout = serializers.IntegerField(
        min_value=1_000,
        max_value=600_000,
        required=False,
        allow_null=True,
        help_text="Milliseconds.",
    )
    maxTokenBudget = serializers.IntegerField(
        min_value=1, max_value=2_000_000_000, required=False, allow_null=True
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The limits that were sent."""
        return dict(super().to_internal_value(_parsed(data)))


class OverrideFields(serializers.Serializer[Any]):
    """What an override can change; null is as designed. Unknown fields are ignored, ids too."""

    provider = serializers.CharField(max_length=32, required=False, allow_null=True)
    model = serializers.CharField(max_length=128, required=False, allow_null=True)
    systemPrompt = serializers.CharField(
        source="system_prompt",
        max_length=PROMPT_LIMIT,
        required=False,
        allow_null=True,
        allow_blank=True,
        trim_whitespace=False,
    )
    temperature = FiniteFloat(min_value=0, max_value=2, required=False, allow_null=True)
    maxTokens = serializers.IntegerField(
        source="max_tokens", min_value=1, max_value=1_000_000, required=False, allow_null=True
    )
    responseFormat = serializers.ChoiceField(
        ResponseFormat.choices, source="response_format", required=False, allow_null=True
    )
    selectedTools = ToolSelection(
        source="selected_tools",
        max_length=200,
        required=False,
        allow_null=True,
        help_text="Names of the tool catalogue; an empty list is no tool, null the agent's own.",
    )
    guardrails = GuardrailsInput(required=False, allow_null=True)


class AgentOverrideInput(OverrideFields):
    """`POST /v1/agentoverride`."""

    agentName = serializers.CharField(source="agent_name", max_length=255)
    enabled = serializers.BooleanField(default=True)


class AgentOverrideChange(OverrideFields):
    """`PATCH /v1/agentoverride/{id}`: what is absent stays; the name stays in any case."""

    enabled = serializers.BooleanField(required=False)
    recordVersion = serializers.IntegerField(
        source="record_version",
        min_value=0,
        required=False,
        help_text="As `If-Match`: 409 unless it is the present one.",
    )


class GuardrailsOutput(serializers.Serializer[Any]):
    """Limits of a run; null or absent is as designed."""

    maxToolCalls = serializers.IntegerField(required=False, allow_null=True)
    timeout = serializers.IntegerField(required=False, allow_null=True)
    maxTokenBudget = serializers.IntegerField(required=False, allow_null=True)

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        """As they were sent."""
        return value


class RecordOutput(serializers.Serializer[Any]):
    """What every object of seed 004 has."""

    id = serializers.UUIDField(source="pk")
    recordVersion = serializers.IntegerField(source="record_version")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")
    _owner = serializers.UUIDField(source="owner_id", allow_null=True)
    isActive = serializers.SerializerMethodField()

    def get_isActive(self, row: Any) -> bool:  # noqa: N802 - DRF's name for seed 004's
        """Whether it was not deleted."""
        return getattr(row, "deleted_at", None) is None


class AgentOverrideOutput(RecordOutput):
    """One override."""

    agentName = serializers.CharField(source="agent_name")
    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    systemPrompt = serializers.CharField(source="system_prompt", allow_null=True)
    temperature = serializers.FloatField(allow_null=True)
    maxTokens = serializers.IntegerField(source="max_tokens", allow_null=True)
    responseFormat = serializers.ChoiceField(
        ResponseFormat.choices, source="response_format", allow_null=True
    )
    selectedTools = serializers.ListField(
        child=serializers.CharField(), source="selected_tools", allow_null=True
    )
    guardrails = GuardrailsOutput(allow_null=True)
    enabled = serializers.BooleanField()
    updatedBy = serializers.UUIDField(source="updated_by")


class PromptOutput(serializers.Serializer[Any]):
    """What a run was asked."""

    prompt = serializers.CharField()


class ResponseOutput(serializers.Serializer[Any]):
    """What it answered."""

    response = serializers.CharField()


class TokenUsageOutput(serializers.Serializer[Any]):
    """Tokens of a run."""

    prompt = serializers.IntegerField()
    completion = serializers.IntegerField()
    total = serializers.IntegerField()


class AgentExecutionOutput(RecordOutput):
    """One run that has ended; lists show the first 10,000 characters of input and output."""

    agentName = serializers.CharField()
    agentType = serializers.ChoiceField(AgentType.choices)
    agentType_idx = serializers.IntegerField()
    source = serializers.ChoiceField(PublishedSource.choices)  # type: ignore[assignment]  # as said
    source_idx = serializers.IntegerField()
    userId = serializers.UUIDField(allow_null=True)
    input = PromptOutput()
    output = ResponseOutput(allow_null=True, help_text="Null if it came to none.")
    toolCalls = serializers.IntegerField()
    tokenUsage = TokenUsageOutput()
    durationMs = serializers.IntegerField()
    status = serializers.ChoiceField(PublishedStatus.choices)
    status_idx = serializers.IntegerField()
    error = serializers.CharField(allow_null=True)

    def to_representation(self, run: AgentExecution) -> dict[str, Any]:
        """The run in 004's words."""
        kind, status = run.agent.agent_type, STATUSES[run.status]
        source, output = SOURCES[run.source], _text(run, "output")
        tokens = {"prompt": run.input_tokens, "completion": run.output_tokens}
        return {
            "id": run.pk,
            "agentName": run.agent_name,
            "agentType": kind,
            "agentType_idx": AgentType.values.index(kind),
            "source": source,
            "source_idx": PublishedSource.values.index(source),
            "userId": run.user_id,
            "input": {"prompt": _text(run, "input")},
            "output": {"response": output} if output else None,
            "toolCalls": run.tool_calls,
            "tokenUsage": {**tokens, "total": sum(tokens.values())},
            "durationMs": run.duration_ms,
            "status": status,
            "status_idx": PublishedStatus.values.index(status),
            "error": _error(run),
            # One that has ended never changes.
            "recordVersion": 1,
            "createdAt": run.created_at,
            "updatedAt": run.updated_at,
            "_owner": run.user_id,
            "isActive": True,
        }


def _error(run: AgentExecution) -> str | None:
    if run.status == ExecutionStatus.CANCELLED:
        return "cancelled"
    return run.error or None


def _text(run: AgentExecution, name: str) -> str:
    """Whole, or what the list read of it (`selectors.list_ended_runs`)."""
    shown: str | None = getattr(run, f"shown_{name}", None)
    if shown is None:
        return str(getattr(run, name))
    return shown[:SHOWN_CHARACTERS] + CUT if len(shown) > SHOWN_CHARACTERS else shown


def _parsed(data: Any) -> Any:
    """JSON text as what it says; what is none is refused as a wrong type by the field."""
    if not isinstance(data, str):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data
