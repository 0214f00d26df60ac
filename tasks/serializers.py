"""Wire shapes of tasks (contract 003 B3)."""

from typing import Any, Final

from django.urls import reverse
from rest_framework import serializers

from agents.choices import ExecutionStatus
from kernel.http import links
from kernel.http.shapes import Metadata, RowOutput
from limits.choices import NAME_LENGTH
from tasks.choices import AttemptOutcome, ReasonCode, TaskPriority, TaskStatus
from tasks.models import Task
from tasks.selectors.reasons import Reason
from tasks.selectors.tasks import find_next_attempt

TEXT_LIMIT: Final = 200_000
BULK_LIMIT: Final = 1000
CONSOLE_PAGES: Final = {
    "agent": "agents_agent",
    "approval": "approvals_approval",
    "breaker": "breakers_circuitbreaker",
    "budget": "cost_budget",
    "execution": "agents_agentexecution",
    "limit": "limits_limitrule",
    "override": "agents_agentoverride",
    "price": "cost_modelprice",
    "task": "tasks_task",
}


class TaskInput(serializers.Serializer[Any]):
    """`POST /tasks`."""

    title = serializers.CharField(max_length=500)
    description = serializers.CharField(max_length=TEXT_LIMIT, allow_blank=True, default="")
    instructions = serializers.CharField(max_length=TEXT_LIMIT, allow_blank=True, default="")
    priority = serializers.ChoiceField(
        choices=TaskPriority.choices, default=TaskPriority.MEDIUM.value
    )
    agent_id = serializers.UUIDField(allow_null=True, default=None)
    deadline = serializers.DateTimeField(allow_null=True, default=None)
    required_tools = serializers.ListField(
        child=serializers.CharField(max_length=128), max_length=200, default=list
    )
    max_retries = serializers.IntegerField(min_value=0, max_value=100, default=3)
    estimated_duration_seconds = serializers.IntegerField(
        min_value=0, max_value=2_000_000_000, allow_null=True, default=None
    )
    metadata = Metadata(default=dict)
    concurrency_key = serializers.CharField(
        max_length=NAME_LENGTH,
        allow_blank=True,
        default="",
        help_text="What limits of the scope key count it by; it stays as it is.",
    )


class TaskBulkInput(serializers.Serializer[Any]):
    """`POST /tasks/bulk`."""

    tasks: Any = serializers.ListSerializer(
        child=TaskInput(), allow_empty=False, max_length=BULK_LIMIT
    )


class TaskChange(serializers.Serializer[Any]):
    """`PATCH /tasks/{id}`: what is absent stays."""

    title = serializers.CharField(max_length=500, required=False)
    description = serializers.CharField(max_length=TEXT_LIMIT, allow_blank=True, required=False)
    instructions = serializers.CharField(max_length=TEXT_LIMIT, allow_blank=True, required=False)
    priority = serializers.ChoiceField(choices=TaskPriority.choices, required=False)
    status = serializers.ChoiceField(choices=TaskStatus.choices, required=False)
    agent_id = serializers.UUIDField(allow_null=True, required=False)
    deadline = serializers.DateTimeField(allow_null=True, required=False)


class TaskOutput(RowOutput[Task]):
    """A task and its result."""

    status = serializers.ChoiceField(choices=TaskStatus.choices)
    priority = serializers.ChoiceField(choices=TaskPriority.choices)
    method_columns = ("status", "retry_count", "error_kind", "available_at")
    next_attempt_at = serializers.SerializerMethodField(
        help_text="When a task that failed or was put off may run again."
    )

    class Meta:
        model = Task
        fields = [
            "id",
            "title",
            "description",
            "instructions",
            "priority",
            "status",
            "agent_id",
            "assigned_by",
            "source",
            "user_id",
            "conversation_id",
            "concurrency_key",
            "output_schema",
            "workflow_id",
            "parent_task_id",
            "required_tools",
            "deadline",
            "max_retries",
            "retry_count",
            "attempt_count",
            "next_attempt_at",
            "result",
            "error",
            "error_kind",
            "output_files",
            "metadata",
            "progress_percent",
            "estimated_duration_seconds",
            "actual_duration_seconds",
            "cost_tokens",
            "cost_usd",
            "started_at",
            "completed_at",
            "created_at",
            "updated_at",
        ]

    def get_next_attempt_at(self, task: Task) -> str | None:
        """The end of what the task waits for."""
        found = find_next_attempt(task=task)
        return found.isoformat() if found else None


class TaskCreatedOutput(serializers.Serializer[Any]):
    """One of many new tasks."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=TaskStatus.choices)


class TaskBulkOutput(serializers.Serializer[Any]):
    """What `POST /tasks/bulk` made, in the order of the request."""

    items = TaskCreatedOutput(many=True)
    created = serializers.IntegerField()


class TaskStatsOutput(serializers.Serializer[Any]):
    """`GET /tasks/stats`."""

    total = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField())
    by_priority = serializers.DictField(child=serializers.IntegerField())


class AttemptOutput(serializers.Serializer[Any]):
    """One try at a task, and what its run cost."""

    id = serializers.UUIDField(source="attempt.pk")
    number = serializers.IntegerField(source="attempt.number")
    version = serializers.IntegerField(source="attempt.version.number")
    worker = serializers.CharField(source="attempt.worker")
    outcome = serializers.ChoiceField(choices=AttemptOutcome.choices, source="attempt.outcome")
    error = serializers.CharField(source="attempt.error")
    created_at = serializers.DateTimeField(source="attempt.created_at")
    finished_at = serializers.DateTimeField(source="attempt.finished_at", allow_null=True)
    execution_id = serializers.UUIDField(source="execution.pk")
    execution_status = serializers.ChoiceField(
        choices=ExecutionStatus.choices, source="execution.status"
    )
    tool_calls = serializers.IntegerField(source="execution.tool_calls")
    input_tokens = serializers.IntegerField(source="execution.input_tokens")
    output_tokens = serializers.IntegerField(source="execution.output_tokens")
    cost_usd = serializers.DecimalField(
        max_digits=18, decimal_places=8, source="execution.cost_usd"
    )
    duration_ms = serializers.IntegerField(source="execution.duration_ms")


class ReasonOutput(serializers.Serializer[Any]):
    """One thing that holds a task, or what it does."""

    code = serializers.ChoiceField(choices=ReasonCode.choices)
    message = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    link = serializers.SerializerMethodField(
        help_text="What to look at, in this API; null for whoever may not."
    )
    console_link = serializers.SerializerMethodField(help_text="The same in the console.")

    def get_link(self, reason: Reason) -> str | None:
        """A path of the API."""
        if reason.kind == "breaker":
            return self._offered(reverse("circuit_breaker-list"))  # they have no page each
        if reason.kind == "price":
            return self._offered(reverse("price-list"))
        return self._offered(reverse(f"{reason.kind}-detail", args=[reason.id]))

    def get_console_link(self, reason: Reason) -> str | None:
        """A path of the console."""
        page = f"admin:{CONSOLE_PAGES[reason.kind]}"
        if reason.kind == "price":
            return self._offered(reverse(f"{page}_changelist"))
        return self._offered(reverse(f"{page}_change", args=[reason.id]))

    def _offered(self, path: str) -> str | None:
        return path if links.may_open(self.context["request"], path) else None


class ExplanationOutput(serializers.Serializer[Any]):
    """`GET /tasks/{id}/explain`."""

    task_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=TaskStatus.choices)
    summary = serializers.CharField(help_text="One sentence.")
    reasons = ReasonOutput(many=True, help_text="The decisive one first.")
