"""Wire shapes of dead letters (contract 003 B16)."""

from typing import Any

from rest_framework import serializers

from dead_letters.choices import LetterStatus
from dead_letters.models import DeadLetter
from kernel.http.shapes import StrictInput
from tasks.choices import TaskPriority, TaskStatus


class LetterInput(StrictInput[Any]):
    """`POST /dead-letter`."""

    task_id = serializers.UUIDField()
    reason = serializers.CharField(
        max_length=2000,
        allow_blank=True,
        default="",
        help_text="With one, a task that has not ended is given up.",
    )


class RedriveInput(StrictInput[Any]):
    """`POST /dead-letter/retry-all`: without a field, all of them."""

    error_type = serializers.CharField(max_length=64, required=False)
    group = serializers.RegexField(r"^[0-9a-f]{16}\Z", required=False)
    agent_id = serializers.UUIDField(required=False)


class LetterOutput(serializers.Serializer[Any]):
    """A dead letter: its task, and under `metadata` also its history."""

    id = serializers.UUIDField(source="task_id", help_text="The task's.")
    title = serializers.CharField(source="task.title")
    status = serializers.ChoiceField(source="task.status", choices=TaskStatus.choices)
    letter_status = serializers.ChoiceField(source="status", choices=LetterStatus.choices)
    error = serializers.CharField(source="last_error")
    error_type = serializers.CharField()
    group = serializers.CharField(help_text="The same for failures that look alike.")
    reason = serializers.CharField()
    retry_count = serializers.IntegerField(source="task.retry_count")
    max_retries = serializers.IntegerField(source="task.max_retries")
    agent_id = serializers.UUIDField(source="task.agent_id", allow_null=True)
    priority = serializers.ChoiceField(choices=TaskPriority.choices)
    failures = serializers.IntegerField(help_text="How often it failed for good.")
    first_failed_at = serializers.DateTimeField()
    last_failed_at = serializers.DateTimeField()
    redrive_count = serializers.IntegerField()
    redriven_at = serializers.DateTimeField(allow_null=True)
    redriven_by = serializers.CharField()
    created_at = serializers.DateTimeField(source="task.created_at")
    updated_at = serializers.DateTimeField(source="task.updated_at")
    metadata = serializers.SerializerMethodField()

    def get_metadata(self, letter: DeadLetter) -> dict[str, Any]:
        """The task's own, with the letter's history over it."""
        return {
            **letter.task.metadata,
            "first_failed_at": letter.first_failed_at,
            "last_error": letter.last_error,
            "redrive_count": letter.redrive_count,
            "redriven_by": letter.redriven_by,
        }


class RedrivenOutput(serializers.Serializer[Any]):
    """A task that is back at work."""

    id = serializers.UUIDField(source="task_id")
    title = serializers.CharField(source="task.title")
    status = serializers.ChoiceField(source="task.status", choices=TaskStatus.choices)
    message = serializers.CharField(default="The task is back at work, with all its retries.")


class AllRedrivenOutput(serializers.Serializer[Any]):
    """What a retry of all led to."""

    retried_count = serializers.IntegerField()
    has_more = serializers.BooleanField(help_text="Ask again for the next hundred.")
    message = serializers.CharField()


class LetterStatsOutput(serializers.Serializer[Any]):
    """How many wait."""

    total = serializers.IntegerField()
    retryable = serializers.IntegerField(help_text="Those whose last failure may pass by itself.")
    by_priority = serializers.DictField(child=serializers.IntegerField())
    oldest_entry = serializers.DateTimeField(allow_null=True)


class LetterGroupOutput(serializers.Serializer[Any]):
    """Failures that look alike."""

    group = serializers.CharField()
    error_type = serializers.CharField()
    error = serializers.CharField(help_text="Of one of them.")
    count = serializers.IntegerField()
    first_failed_at = serializers.DateTimeField()
    last_failed_at = serializers.DateTimeField()


class LetterGroupsOutput(serializers.Serializer[Any]):
    """At most a hundred, the largest first."""

    items = LetterGroupOutput(many=True)
