"""Wire shapes of executions (contract 003 B2, 004 C2)."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from agents.choices import ExecutionStatus
from agents.models import AgentExecution, ExecutionStep
from agents.models import StepOutput as StepOutputRow
from kernel.http.shapes import RowOutput, StrictInput


class StepOutput(RowOutput[ExecutionStep]):
    """One model turn or tool call."""

    whole_result_link = serializers.SerializerMethodField(
        help_text="Where all of the result is, if the model was given a part of it."
    )

    class Meta:
        model = ExecutionStep
        fields = [
            "ordinal",
            "kind",
            "status",
            "text",
            "tool",
            "call_id",
            "arguments",
            "result",
            "whole_result_link",
            "error",
            "provider",
            "model",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "duration_ms",
            "created_at",
        ]

    def get_whole_result_link(self, step: ExecutionStep) -> str | None:
        """A path of the API."""
        return reverse("tool_output-detail", args=[step.pk]) if step.is_cut else None


class WholeOutput(serializers.Serializer[StepOutputRow]):
    """All that a tool returned, as text, up to 5 MB."""

    step_id = serializers.UUIDField()
    text = serializers.CharField()


class ExecutionOutput(RowOutput[AgentExecution]):
    """One run, without its steps."""

    status = serializers.ChoiceField(choices=ExecutionStatus.choices)
    version = serializers.IntegerField(source="version.number")

    class Meta:
        model = AgentExecution
        fields = [
            "id",
            "agent_id",
            "agent_name",
            "version",
            "source",
            "parent_id",
            "depth",
            "task_id",
            "attempt_id",
            "status",
            "input",
            "output",
            "error",
            "error_kind",
            "tool_calls",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "duration_ms",
            "created_at",
            "finished_at",
        ]


class ExecutionDetailOutput(ExecutionOutput):
    """One run with its timeline."""

    steps = StepOutput(many=True)

    class Meta(ExecutionOutput.Meta):
        fields = [*ExecutionOutput.Meta.fields, "steps"]


class ForkInput(StrictInput[Any]):
    """`POST /executions/{id}/fork`."""

    step = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="The number of the last step that is kept."
    )
    version = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        allow_null=True,
        help_text="Of the agent, for good; without it, whichever is current when it runs.",
    )
    instructions = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=50_000,
        help_text="What the agent is told in addition to what it was asked.",
    )


class ForkOutput(serializers.Serializer[Any]):
    """The task that goes on."""

    task_id = serializers.UUIDField()
    task_link = serializers.CharField(help_text="A path of the API.")
