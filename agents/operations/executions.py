"""Recording what happens in a run: opened with the claim, filled as it goes, closed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q, Sum

from agents.choices import ExecutionSource, ExecutionStatus, StepKind, StepStatus
from agents.errors import RunWithoutLease
from agents.models import Agent, AgentExecution, AgentVersion, ExecutionStep
from agents.runtime.journal import ModelTurn, ToolCall, ToolResult
from cost import operations as cost
from kernel import ids


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a run before it starts."""

    version: AgentVersion
    agent_name: str
    input: str
    task_id: UUID | None
    attempt_id: UUID | None
    user_id: UUID | None = None
    resumed_from_id: UUID | None = None
    source: ExecutionSource = ExecutionSource.QUEUE


def open_executions(*, openings: Sequence[Opening], now: datetime) -> list[AgentExecution]:
    """Write the rows of runs about to start, in the caller's transaction."""
    return AgentExecution.objects.bulk_create(
        AgentExecution(
            id=ids.new(),
            created_at=now,
            updated_at=now,
            organization_id=opening.version.organization_id,
            agent_id=opening.version.agent_id,
            version=opening.version,
            agent_name=opening.agent_name,
            source=opening.source,
            task_id=opening.task_id,
            attempt_id=opening.attempt_id,
            user_id=opening.user_id,
            resumed_from_id=opening.resumed_from_id,
            input=opening.input,
        )
        for opening in openings
    )


@transaction.atomic
def record_turn(
    *, execution: AgentExecution, ordinal: int, turn: ModelTurn, now: datetime
) -> ExecutionStep:
    """Journal one model answer and book its tokens. Raises RunWithoutLease once it is closed."""
    _lock_running(execution)
    usage = cost.record_usage(
        organization_id=execution.organization_id,
        provider=turn.provider,
        model=turn.model,
        usage=turn.usage,
        execution_id=execution.pk,
        ordinal=ordinal,
        agent_id=execution.agent_id,
        task_id=execution.task_id,
        now=now,
    )
    return ExecutionStep.objects.create(
        organization_id=execution.organization_id,
        execution=execution,
        ordinal=ordinal,
        kind=StepKind.MODEL_TURN,
        text=turn.text,
        message=turn.message,
        provider=turn.provider,
        model=turn.model[:128],
        input_tokens=turn.usage.input_tokens,
        output_tokens=turn.usage.output_tokens,
        cost_usd=usage.cost_usd,
        duration_ms=turn.duration_ms,
        created_at=now,
        updated_at=now,
    )


@transaction.atomic
def record_tool_call(
    *, execution: AgentExecution, ordinal: int, call: ToolCall, now: datetime
) -> ExecutionStep:
    """Journal a tool call before it is made. Raises RunWithoutLease once the run is closed."""
    _lock_running(execution)
    return ExecutionStep.objects.create(
        organization_id=execution.organization_id,
        execution=execution,
        ordinal=ordinal,
        kind=StepKind.TOOL_CALL,
        status=StepStatus.STARTED,
        tool=call.tool[:128],
        call_id=call.id[:255],
        arguments=call.arguments,
        created_at=now,
        updated_at=now,
    )


@transaction.atomic
def record_tool_result(
    *, execution: AgentExecution, step_id: UUID, result: ToolResult, now: datetime
) -> None:
    """Journal a tool's outcome on the step of its call. Raises RunWithoutLease when closed."""
    _lock_running(execution)
    ExecutionStep.objects.filter(pk=step_id, execution=execution, status=StepStatus.STARTED).update(
        status=StepStatus.FAILED if result.error else StepStatus.DONE,
        result=result.result,
        error=result.error or "",
        message=result.message,
        duration_ms=result.duration_ms,
        updated_at=now,
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; `error` is a sentence for people, empty after success."""

    status: ExecutionStatus
    output: str = ""
    error: str = ""
    error_kind: str = ""
    duration_ms: int = 0


def close_execution(*, execution_id: UUID, ending: Ending, now: datetime) -> AgentExecution | None:
    """Write the end of a run in the caller's transaction, once; None if it was closed before.

    Calls, tokens and cost come from the journal, which knows each even of a run that broke.
    """
    spent = ExecutionStep.objects.filter(execution_id=execution_id).aggregate(
        calls=Count("pk", filter=Q(kind=StepKind.TOOL_CALL)),
        input=Sum("input_tokens", default=0),
        output=Sum("output_tokens", default=0),
        cost=Sum("cost_usd", default=Decimal(0)),
    )
    closed = AgentExecution.objects.filter(pk=execution_id, status=ExecutionStatus.RUNNING).update(
        status=ending.status,
        output=ending.output,
        error=ending.error,
        error_kind=ending.error_kind,
        tool_calls=spent["calls"],
        input_tokens=spent["input"],
        output_tokens=spent["output"],
        cost_usd=spent["cost"],
        duration_ms=ending.duration_ms,
        finished_at=now,
        updated_at=now,
    )
    return AgentExecution.objects.get(pk=execution_id) if closed else None


def count_run(
    *, agent: Agent, execution: AgentExecution, is_success: bool | None, now: datetime
) -> None:
    """Add a closed run to its agent's totals; `is_success` None counts only what it used."""
    Agent.objects.filter(pk=agent.pk).update(
        tasks_completed=F("tasks_completed") + int(is_success is True),
        tasks_failed=F("tasks_failed") + int(is_success is False),
        total_tokens_used=F("total_tokens_used") + execution.input_tokens + execution.output_tokens,
        total_cost_usd=F("total_cost_usd") + execution.cost_usd,
        total_duration_ms=F("total_duration_ms")
        + (execution.duration_ms if is_success is not None else 0),
        last_active_at=now,
        updated_at=now,
    )


def _lock_running(execution: AgentExecution) -> None:
    """A closed execution takes no more steps: its worker lost the lease or was told to stop."""
    running = AgentExecution.objects.select_for_update(no_key=True).filter(
        pk=execution.pk, status=ExecutionStatus.RUNNING
    )
    if not running.values_list("pk", flat=True):
        raise RunWithoutLease
