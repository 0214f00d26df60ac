"""Executions: what happened in each run, step by step."""

import json

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.expressions import RawSQL

from accounts.models import TenantRow
from agents.choices import (
    ExecutionSource,
    ExecutionStatus,
    ReplayTools,
    StepKind,
    StepStatus,
)
from agents.models.agent import Agent, AgentVersion
from limits.choices import NAME_LENGTH


class AgentExecution(TenantRow):
    """One run of one agent; exactly one for each attempt at a task (contract 004 C2), and one for
    each time that another run calls the agent, or goes on with such a call."""

    agent = models.ForeignKey(Agent, models.PROTECT, related_name="+")
    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="+")
    agent_name = models.CharField(max_length=255)
    source = models.CharField(max_length=16, choices=ExecutionSource, default=ExecutionSource.QUEUE)
    # Of higher floors, hence plain columns.
    task_id = models.UUIDField(null=True, blank=True)
    attempt_id = models.UUIDField(null=True, blank=True, unique=True)
    user_id = models.UUIDField(null=True, blank=True)
    # The task's: who else asked for it.
    author_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, db_default=RawSQL("'{}'::uuid[]", [])
    )
    # The run this one goes on from: its steps are the beginning of this one's conversation. What a
    # fork goes on from has copies of them, and names the run of another task that they come from.
    resumed_from = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # The run that called this agent: one of the same task, which does not outlive it.
    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    # Which call it was (`selectors.call_key`), whichever attempt of the caller makes it.
    call_key = models.UUIDField(null=True, blank=True)
    depth = models.PositiveSmallIntegerField(default=0, db_default=0)
    conversation_id = models.UUIDField(null=True, blank=True)
    output_schema = models.JSONField(null=True, blank=True)
    # The task's, by which limits count model calls.
    concurrency_key = models.CharField(
        max_length=NAME_LENGTH, blank=True, default="", db_default=""
    )
    # The budget, limit, approval or override for which the run stopped.
    held_by = models.UUIDField(null=True, blank=True)
    status = models.CharField(
        max_length=16, choices=ExecutionStatus, default=ExecutionStatus.RUNNING
    )
    input = models.TextField(blank=True)
    output = models.TextField(blank=True)
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=64, blank=True)
    # What the agent names and this run was not offered: a list of {name, reason}; null is none.
    tools_left_out = models.JSONField(null=True, blank=True)
    tool_calls = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    # What the runs below this one used, which is not in its own figures.
    below_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    below_cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0, db_default=0)
    duration_ms = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # Down to the id: what is claimed in one batch shares its instant.
            models.Index(fields=["organization", "-created_at", "-id"], name="execution_newest"),
            models.Index(fields=["task_id"], name="execution_task"),
            models.Index(
                fields=["conversation_id", "-created_at"],
                condition=models.Q(conversation_id__isnull=False),
                name="execution_conversation",
            ),
            models.Index(fields=["agent", "-created_at", "-id"], name="execution_agent"),
            models.Index(
                fields=["parent"],
                condition=models.Q(parent__isnull=False),
                name="execution_parent",
            ),
            models.Index(
                fields=["call_key"],
                condition=models.Q(call_key__isnull=False),
                name="execution_call",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_name} {self.status}"


class ExecutionStep(TenantRow):
    """One model turn or tool call, written as it happens: the run's journal and its timeline."""

    execution = models.ForeignKey(AgentExecution, models.CASCADE, related_name="steps")
    ordinal = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=StepKind)
    status = models.CharField(max_length=16, choices=StepStatus, default=StepStatus.DONE)
    text = models.TextField(blank=True)
    tool = models.CharField(max_length=128, blank=True)
    call_id = models.CharField(max_length=255, blank=True)
    arguments = models.JSONField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    # The model was given a part of the result: all of it is in StepOutput.
    is_cut = models.BooleanField(default=False, db_default=False)
    error = models.TextField(blank=True)
    # The message as the runtime's log takes it back (`RunSpec.log`).
    message = models.JSONField(null=True, blank=True)
    provider = models.CharField(max_length=32, blank=True)
    model = models.CharField(max_length=128, blank=True)
    # Those that were to answer before it: a list of {provider, model, kind, message}; null is none.
    skipped_models = models.JSONField(null=True, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution", "ordinal"], name="execution_step_ordinal")
        ]

    def __str__(self) -> str:
        return f"{self.ordinal} {self.kind}"

    @property
    def shown_arguments(self) -> str:
        """The arguments as indented JSON."""
        return json.dumps(self.arguments, indent=2, ensure_ascii=False)

    @property
    def shown_result(self) -> str:
        """The result as indented JSON."""
        return json.dumps(self.result, indent=2, ensure_ascii=False)


class StepOutput(TenantRow):
    """The whole output of a tool call, as text, when the model was given a part of it."""

    step = models.OneToOneField(ExecutionStep, models.CASCADE, related_name="whole_output")
    text = models.TextField()

    def __str__(self) -> str:
        return f"output of step {self.step_id}"


class ExecutionReplay(TenantRow):
    """That a task plays a run again, with the model's answers that are on record."""

    # Of a higher floor, hence a plain column; all attempts at it play the same run.
    task_id = models.UUIDField(unique=True)
    origin = models.ForeignKey(AgentExecution, models.CASCADE, related_name="+")
    tools = models.CharField(max_length=16, choices=ReplayTools, default=ReplayTools.RECORDED)

    def __str__(self) -> str:
        return f"replay of {self.origin_id}"
