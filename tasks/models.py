"""Tasks and the attempts at them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.expressions import RawSQL

from accounts.models import TenantRow
from agents.choices import ExecutionSource
from agents.models import Agent, AgentVersion
from limits.choices import NAME_LENGTH
from tasks.choices import AWAITED, AttemptOutcome, PriorityRank, TaskPriority, TaskStatus


class Task(TenantRow):
    """A piece of work for an agent, and the lease of whoever does it now.

    A claim raises `fencing_token`; every later write of the run names the token it was given, so
    that a worker which lost its lease changes nothing.
    """

    title = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    instructions = models.TextField(blank=True)
    priority = models.CharField(max_length=16, choices=TaskPriority, default=TaskPriority.MEDIUM)
    priority_rank = models.PositiveSmallIntegerField(
        choices=PriorityRank, default=PriorityRank.MEDIUM
    )
    status = models.CharField(max_length=16, choices=TaskStatus, default=TaskStatus.PENDING)
    agent = models.ForeignKey(Agent, models.PROTECT, null=True, blank=True, related_name="+")
    required_tools = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    max_retries = models.PositiveSmallIntegerField(default=3)
    retry_count = models.PositiveSmallIntegerField(default=0)
    # How often in a row it was put off and came no further.
    postponed_count = models.PositiveIntegerField(default=0, db_default=0)
    result = models.TextField(null=True, blank=True)  # noqa: DJ001 - null: no result yet
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=64, blank=True)
    output_files = models.JSONField(default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    assigned_by = models.CharField(max_length=128, blank=True)
    workflow_id = models.UUIDField(null=True, blank=True)
    parent_task = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    progress_percent = models.PositiveSmallIntegerField(default=0)
    estimated_duration_seconds = models.PositiveIntegerField(null=True, blank=True)
    actual_duration_seconds = models.FloatField(null=True, blank=True)
    cost_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    # Not claimed before this instant: now, or the end of a backoff.
    available_at = models.DateTimeField()
    attempt_count = models.PositiveIntegerField(default=0)
    fencing_token = models.PositiveBigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # The execution from whose last step the next attempt goes on; null: from the beginning.
    resumes_execution_id = models.UUIDField(null=True, blank=True)
    # Which door it came through; somebody waits for one that did not come for the queue.
    source = models.CharField(
        max_length=16,
        choices=ExecutionSource,
        default=ExecutionSource.QUEUE,
        db_default=ExecutionSource.QUEUE,
    )
    user_id = models.UUIDField(null=True, blank=True)
    # Who else wrote what the agent is told, chose the agent, or let the work begin again: they
    # asked for what it does as much as `user_id`.
    author_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, db_default=RawSQL("'{}'::uuid[]", [])
    )
    output_schema = models.JSONField(null=True, blank=True)
    conversation_id = models.UUIDField(null=True, blank=True)
    # What every attempt runs with, if not with the version that is current then.
    pinned_version = models.ForeignKey(
        AgentVersion, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    # What limits count it by, for good: what runs is counted by it.
    concurrency_key = models.CharField(
        max_length=NAME_LENGTH, blank=True, default="", db_default=""
    )

    class Meta:
        indexes = [
            # Down to the id: tasks that were made in bulk share their instant.
            models.Index(fields=["organization", "-created_at", "-id"], name="task_newest"),
            models.Index(fields=["agent", "-created_at", "-id"], name="task_agent"),
            # What claims read; it holds only what waits, so it stays small under any history.
            models.Index(
                fields=["agent", "priority_rank", "available_at", "id"],
                condition=models.Q(status="assigned"),
                name="task_claimable",
            ),
            # The same key by key, for claims in an organization that limits keys: one that is full
            # costs nothing, however much waits for it.
            models.Index(
                fields=["agent", "concurrency_key", "priority_rank", "available_at", "id"],
                condition=models.Q(status="assigned"),
                name="task_claimable_by_key",
            ),
            models.Index(
                fields=["organization", "concurrency_key", "-created_at", "-id"],
                condition=~models.Q(concurrency_key=""),
                name="task_keyed",
            ),
            models.Index(
                fields=["priority_rank", "created_at", "id"],
                condition=models.Q(status__in=["pending", "queued"]),
                name="task_unassigned",
            ),
            # Also for lapsed leases: an index on their end would make every renewal an index write.
            models.Index(
                fields=["agent"],
                condition=models.Q(status="in_progress"),
                name="task_running",
            ),
            models.Index(
                fields=["organization", "-created_at"],
                condition=models.Q(status="review"),
                name="task_review",
            ),
            models.Index(
                fields=["deadline"],
                condition=models.Q(status__in=["pending", "queued", "assigned"])
                & models.Q(deadline__isnull=False),
                name="task_deadline",
            ),
            # How many an organization has under way of those that somebody waits for.
            models.Index(
                fields=["organization"],
                condition=models.Q(source__in=["rest", "sse"])
                & models.Q(status__in=["assigned", "in_progress"]),
                name="task_awaited",
            ),
            models.Index(
                fields=["conversation_id"],
                condition=models.Q(conversation_id__isnull=False),
                name="task_conversation",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for its answer: not tried again, and ended by its deadline."""
        return self.source in AWAITED

    def wait_for_person(self) -> None:
        """Put it up for review. Who decides may take days, so an awaited run has no end then."""
        self.status = TaskStatus.REVIEW
        if self.is_awaited:
            self.deadline = None

    @property
    def losses_allowed(self) -> int:
        """How often its worker may go silent; an awaited run has no retries, but outlives one."""
        return max(self.max_retries, int(self.is_awaited))

    @property
    def prompt(self) -> str:
        """What the agent is told; the title of an awaited run, or of one that is played again, is
        the hub's words, not the caller's."""
        if self.is_awaited or self.source == ExecutionSource.REPLAY:
            return self.description
        parts = [self.title, self.description, self.instructions]
        return "\n\n".join(part for part in parts if part)


class TaskAttempt(TenantRow):
    """One try at a task by one worker with one version of the agent."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="+")
    fencing_token = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=255)
    outcome = models.CharField(
        max_length=16, choices=AttemptOutcome, default=AttemptOutcome.RUNNING
    )
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="task_attempt_number")
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.task_id}"
