"""What became of a direct run, and what one may refer to."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, Sum

from agents import selectors as agents
from agents.errors import AgentNotFound
from agents.models import Agent, AgentExecution
from agents.runtime.spec import FailureKind
from runs.choices import GOES_ON, RunStatus
from tasks.choices import AWAITED, TaskStatus
from tasks.models import Task
from tasks.selectors import tasks
from tasks.selectors.reviews import shortage_of

# Reasons of a failed task that mean that its time was over.
TOO_LATE = frozenset({FailureKind.TIMEOUT, "deadline"})
ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to, over all its attempts; `is_settled` when there is nothing to wait for.

    One that is not settled, or waits for a person, is an error whose `error` says how to go on:
    the task runs all the same (`goes_on`). `deadline` is None once a person made the run wait.
    """

    task_id: UUID
    conversation_id: UUID | None
    is_settled: bool
    status: RunStatus
    deadline: datetime | None
    goes_on: bool = False
    execution_id: UUID | None = None
    output: Any = None
    error: str = ""
    error_kind: str = ""
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    duration_ms: int = 0

    @property
    def total_tokens(self) -> int:
        """Those of the prompts and of the answers."""
        return self.input_tokens + self.output_tokens


def get_named_agent(*, organization_id: UUID, name: str) -> Agent:
    """The organization's agent of that name; raises AgentNotFound."""
    found = agents.list_agents(organization_id=organization_id).filter(name=name)
    agent = None if "\x00" in name else found.first()  # PostgreSQL refuses to look for a NUL
    if agent is None:
        raise AgentNotFound
    return agent


def has_conversation(*, agent: Agent, user_id: UUID, conversation_id: UUID) -> bool:
    """Whether the person had this conversation with the agent."""
    return Task.objects.filter(
        organization_id=agent.organization_id,
        agent=agent,
        user_id=user_id,
        conversation_id=conversation_id,
    ).exists()


def count_awaited(*, organization_id: UUID) -> int:
    """How many runs of the organization somebody waits for."""
    under_way = (TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS)
    return Task.objects.filter(
        organization_id=organization_id, source__in=AWAITED, status__in=under_way
    ).count()


def read_outcome(*, organization_id: UUID, task_id: UUID) -> Outcome:
    """How the run behind a task stands; raises TaskNotFound."""
    task = tasks.get_task(organization_id=organization_id, task_id=task_id)
    status, error, kind = _verdict(task)
    is_settled = kind != GOES_ON
    return Outcome(
        task_id=task.pk,
        conversation_id=task.conversation_id,
        is_settled=is_settled,
        status=status,
        deadline=task.deadline,
        goes_on=task.status not in ENDED,
        output=_output(task),
        error=error,
        error_kind=kind,
        cost_usd=task.cost_usd,
        **(_spent(task) if is_settled else {}),
    )


def _verdict(task: Task) -> tuple[RunStatus, str, str]:
    """Status, sentence and reason."""
    if task.status == TaskStatus.COMPLETED:
        return RunStatus.SUCCESS, "", ""
    if task.status == TaskStatus.FAILED:
        status = RunStatus.TIMEOUT if task.error_kind in TOO_LATE else RunStatus.ERROR
        return status, task.error or "The run failed.", task.error_kind or "failed"
    if task.status == TaskStatus.CANCELLED:
        if task.deadline and task.completed_at and task.completed_at >= task.deadline:
            return RunStatus.TIMEOUT, "The run did not end in time.", FailureKind.TIMEOUT
        return RunStatus.CANCELLED, "The run was cancelled.", "cancelled"
    follow = f"Follow it at /api/v1/tasks/{task.pk}."
    if task.status == TaskStatus.REVIEW:
        why = task.error or "The run waits for a person."
        told = [why, shortage_of(task=task), follow]
        return RunStatus.ERROR, " ".join(filter(None, told)), task.error_kind or "review"
    return RunStatus.ERROR, f"The run goes on. {follow}", GOES_ON


def _output(task: Task) -> Any:
    """The answer as text, or as the JSON that was asked for."""
    if task.output_schema is not None and task.result is not None:
        with suppress(ValueError):
            return json.loads(task.result)
    return task.result


def _spent(task: Task) -> dict[str, Any]:
    runs = AgentExecution.objects.filter(organization_id=task.organization_id, task_id=task.pk)
    own = Q(
        attempt_id__isnull=False
    )  # those of agents that were called took none of their own time
    last = runs.filter(own).order_by("-created_at", "-pk").values("pk")[:1]
    found = runs.aggregate(
        tool_calls=Sum("tool_calls", default=0),
        input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        duration_ms=Sum("duration_ms", filter=own, default=0),
    )
    return {**found, "execution_id": last.values_list("pk", flat=True).first()}
