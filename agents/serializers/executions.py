"""Wire shapes of executions (contract 003 B2, 004 C2)."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents import selectors
from agents.choices import ExecutionStatus, ReplayTools
from agents.models import AgentExecution, ExecutionStep
from agents.models import StepOutput as StepOutputRow
from agents.operations import replays
from agents.operations.replays import PlayedAgain
from agents.selectors import CallApproval
from approvals.choices import ApprovalStatus
from kernel.http.shapes import RowOutput, StrictInput


class SkippedModelOutput(serializers.Serializer[Any]):
    """A model that could not answer a turn, and why."""

    provider = serializers.CharField()
    model = serializers.CharField()
    kind = serializers.CharField(help_text="As the `error_kind` of a run.")
    message = serializers.CharField()


class ToolLeftOutOutput(serializers.Serializer[Any]):
    """A tool that the agent names and the run was not offered, and why."""

    name = serializers.CharField()
    reason = serializers.CharField()


class StepOutput(RowOutput[ExecutionStep]):
    """One model turn or tool call."""

    skipped_models = serializers.SerializerMethodField(
        help_text="Those that were to answer before the one that did."
    )

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
            "skipped_models",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "duration_ms",
            "created_at",
        ]

    @extend_schema_field(SkippedModelOutput(many=True))
    def get_skipped_models(self, step: ExecutionStep) -> Any:
        """In the order in which they were asked."""
        return step.skipped_models or []

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


class PlayedAgainOutput(serializers.Serializer[PlayedAgain]):
    """What a run plays again."""

    of = serializers.UUIDField(help_text="The execution that is played.")
    tools = serializers.ChoiceField(ReplayTools.choices)
    same_end = serializers.BooleanField(
        allow_null=True,
        help_text="Whether it ended with the same status, kind of error and output; null while it"
        " has not, and where nothing can be said.",
    )


class CallApprovalOutput(serializers.Serializer[Any]):
    """What people said, or have yet to say, about a call of the run."""

    id = serializers.UUIDField(source="approval.id")
    action = serializers.CharField(source="approval.action")
    status = serializers.ChoiceField(ApprovalStatus.choices)
    step = serializers.SerializerMethodField(
        help_text="The number of the call's step; null where this run did not begin it."
    )
    decided_by = serializers.UUIDField(source="approval.decided_by_id", allow_null=True)
    decided_at = serializers.DateTimeField(source="approval.decided_at", allow_null=True)
    link = serializers.SerializerMethodField(help_text="A path of the API.")

    def get_step(self, asked: CallApproval) -> int | None:
        """An ordinal."""
        return asked.step.ordinal if asked.step else None

    def get_link(self, asked: CallApproval) -> str:
        """Where all of it is."""
        return reverse("approval-detail", args=[asked.approval.pk])


class ExecutionDetailOutput(ExecutionOutput):
    """One run with its timeline."""

    replay = serializers.SerializerMethodField(help_text="Null for a run of its own.")
    approvals = serializers.SerializerMethodField(
        help_text="What its calls waited for or used, and what it asked for; oldest first."
    )
    tools_left_out = serializers.SerializerMethodField(
        help_text="What its agent names and it was not offered; at most 50."
    )
    steps = StepOutput(many=True)

    class Meta(ExecutionOutput.Meta):
        fields = [*ExecutionOutput.Meta.fields, "replay", "approvals", "tools_left_out", "steps"]

    @extend_schema_field(CallApprovalOutput(many=True))
    def get_approvals(self, run: AgentExecution) -> Any:
        """As of `now` in the context, by the steps that were read already."""
        steps, now = run.steps.all(), self.context["now"]
        found = selectors.list_approvals(execution=run, steps=steps, now=now)
        return CallApprovalOutput(found, many=True).data

    @extend_schema_field(ToolLeftOutOutput(many=True))
    def get_tools_left_out(self, run: AgentExecution) -> Any:
        """In the order in which the agent names them."""
        return run.tools_left_out or []

    @extend_schema_field(PlayedAgainOutput(allow_null=True))
    def get_replay(self, run: AgentExecution) -> dict[str, Any] | None:
        """What it plays again."""
        found = replays.find_played(execution=run)
        return None if found is None else dict(PlayedAgainOutput(found).data)


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


class ReplayInput(StrictInput[Any]):
    """`POST /executions/{id}/replay`."""

    version = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        allow_null=True,
        help_text="Of the agent; without it, the one that the run had.",
    )
    tools = serializers.ChoiceField(
        ReplayTools.choices,
        default=ReplayTools.RECORDED,
        help_text="`recorded`: results are those on record, and nothing is called. `live`: tools"
        " are called as in any run, but for agents.",
    )


class ForkOutput(serializers.Serializer[Any]):
    """The task that goes on, or plays a run again."""

    task_id = serializers.UUIDField()
    task_link = serializers.CharField(help_text="A path of the API.")
