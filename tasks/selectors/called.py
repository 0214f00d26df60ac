"""What a running task waits for below: agents that were called and have no place yet."""

from datetime import datetime, timedelta
from typing import Final

from agents.choices import AGENT_TOOL, ExecutionStatus, StepKind, StepStatus
from agents.models import AgentExecution, ExecutionStep
from agents.selectors import call_key, roots_of
from tasks.choices import ReasonCode
from tasks.models import Task
from tasks.selectors.reasons import Reason

# Longer than an agent that has its place takes to begin.
BEGINNING: Final = timedelta(seconds=2)
MOST: Final = 10


def explain_called(*, task: Task, now: datetime) -> list[Reason]:
    """Calls of agents that have not begun, ten at most, oldest first; in three queries at most."""
    waiting = ExecutionStep.objects.filter(
        organization_id=task.organization_id,
        execution__in=AgentExecution.objects.filter(
            organization_id=task.organization_id, task_id=task.pk, status=ExecutionStatus.RUNNING
        ),
        kind=StepKind.TOOL_CALL,
        status=StepStatus.STARTED,
        tool__startswith=AGENT_TOOL,
        created_at__lte=now - BEGINNING,
    )
    rows = waiting.select_related("execution").only(
        "tool",
        "call_id",
        "created_at",
        "execution__agent_name",
        "execution__resumed_from_id",
        "execution__organization_id",
    )
    steps = list(rows.order_by("created_at", "pk"))
    if not steps:
        return []
    roots = roots_of(executions=[step.execution for step in steps])
    begun = set(
        AgentExecution.objects.filter(parent__in={step.execution_id for step in steps})
        .order_by()
        .values_list("parent_id", "call_key")
    )
    held = [
        step
        for step in steps
        if (step.execution_id, call_key(root_id=roots[step.execution_id], call_id=step.call_id))
        not in begun
    ]
    return [_waits(step) for step in held[:MOST]]


def _waits(step: ExecutionStep) -> Reason:
    called = step.tool.removeprefix(AGENT_TOOL)
    message = (
        f"Agent {step.execution.agent_name} called agent {called}, which begins once the worker has"
        " a place for it: others that were called have them all. To have more, raise"
        " HUB_WORKER_RUNS."
    )
    code, since = ReasonCode.WAITING_FOR_PLACE, step.created_at
    return Reason(code, message, "execution", step.execution_id, since=since)
