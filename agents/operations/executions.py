"""Recording what happens in a run: opened with the claim, filled as it goes, closed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Q, Sum

from agents.choices import ExecutionSource, ExecutionStatus, StepKind, StepStatus
from agents.errors import RunWithoutLease
from agents.models import Agent, AgentExecution, AgentVersion, ExecutionStep, StepOutput
from agents.runtime.journal import ToolCall, ToolResult
from cost.operations import unanswered
from cost.selectors.usage import costs_of_runs
from kernel import batches, ids

CLOSED: Final = (
    "status",
    "output",
    "error",
    "error_kind",
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "below_tokens",
    "below_cost_usd",
    "duration_ms",
    "held_by",
    "finished_at",
    "updated_at",
)
UNUSED: Final = {"calls": 0, "input": 0, "output": 0}
NOTHING_BELOW: Final = (0, Decimal(0))
CALLER_ENDED: Final = "caller_ended"
MOST_LEFT_OUT: Final = 50
# Before every step of every run: Django would spend as long to write it as the server to answer.
_LOCK_RUNNING: Final = (
    "SELECT FROM agents_agentexecution WHERE id = %s AND status = %s FOR NO KEY UPDATE"
)


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a run before it starts."""

    version: AgentVersion
    agent_name: str
    input: str
    task_id: UUID | None
    attempt_id: UUID | None
    user_id: UUID | None = None
    author_ids: Sequence[UUID] = ()
    resumed_from_id: UUID | None = None
    source: ExecutionSource = ExecutionSource.QUEUE
    conversation_id: UUID | None = None
    output_schema: Mapping[str, Any] | None = None
    concurrency_key: str = ""
    parent: AgentExecution | None = None
    call_key: UUID | None = None


def open_executions(*, openings: Sequence[Opening], now: datetime) -> list[AgentExecution]:
    """Write the rows of runs about to start, in the caller's transaction."""
    opened = [
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
            author_ids=list(opening.author_ids),
            resumed_from_id=opening.resumed_from_id,
            conversation_id=opening.conversation_id,
            output_schema=opening.output_schema,
            concurrency_key=opening.concurrency_key,
            parent=opening.parent,
            call_key=opening.call_key,
            depth=opening.parent.depth + 1 if opening.parent else 0,
            input=opening.input,
        )
        for opening in openings
    ]
    batches.insert(opened)
    return opened


def note_left_out(*, execution: AgentExecution, left_out: Mapping[str, str]) -> None:
    """Keep which tools a run was not offered, with why; the first of them if they are many."""
    shown = [
        {"name": name[:128], "reason": reason[:500]}
        for name, reason in list(left_out.items())[:MOST_LEFT_OUT]
    ]
    running = AgentExecution.objects.filter(pk=execution.pk, status=ExecutionStatus.RUNNING)
    running.update(tools_left_out=shown)


@transaction.atomic
def record_tool_call(
    *, execution: AgentExecution, ordinal: int, call: ToolCall, now: datetime
) -> ExecutionStep:
    """Journal a tool call before it is made. Raises RunWithoutLease once the run is closed."""
    lock_running(execution)
    return add_call(execution, ordinal, call, now)


@transaction.atomic
def record_refusal(
    *, execution: AgentExecution, ordinal: int, call: ToolCall, result: ToolResult, now: datetime
) -> ExecutionStep:
    """Journal a call that was not made, with what the model is told, in one: a step that only
    started would be one of unknown outcome. Raises RunWithoutLease once the run is closed."""
    lock_running(execution)
    outcome = {"status": StepStatus.FAILED, "error": result.error or "", "message": result.message}
    return add_call(execution, ordinal, call, now, **outcome)


def add_call(
    execution: AgentExecution, ordinal: int, call: ToolCall, now: datetime, **outcome: Any
) -> ExecutionStep:
    """The step of a call, in the caller's transaction, which has locked the running execution."""
    return ExecutionStep.objects.create(
        organization_id=execution.organization_id,
        execution=execution,
        ordinal=ordinal,
        kind=StepKind.TOOL_CALL,
        tool=call.tool[:128],
        call_id=call.id[:255],
        arguments=call.arguments,
        created_at=now,
        updated_at=now,
        **{"status": StepStatus.STARTED, **outcome},
    )


@transaction.atomic
def record_tool_result(
    *, execution: AgentExecution, step_id: UUID, result: ToolResult, now: datetime
) -> None:
    """Journal a tool's outcome on the step of its call. Raises RunWithoutLease when closed."""
    lock_running(execution)
    written = ExecutionStep.objects.filter(
        pk=step_id, execution=execution, status=StepStatus.STARTED
    ).update(
        status=StepStatus.FAILED if result.error else StepStatus.DONE,
        result=result.result,
        is_cut=bool(result.whole),
        error=result.error or "",
        message=result.message,
        duration_ms=result.duration_ms,
        updated_at=now,
    )
    if written and result.whole:
        StepOutput.objects.create(
            organization_id=execution.organization_id,
            step_id=step_id,
            text=result.whole,
            created_at=now,
            updated_at=now,
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; `error` is a sentence for people, empty after success, and `held_by` the
    budget, limit, approval or override for which it stopped."""

    status: ExecutionStatus
    output: str = ""
    error: str = ""
    error_kind: str = ""
    duration_ms: int = 0
    held_by: UUID | None = None


def close_execution(*, execution_id: UUID, ending: Ending, now: datetime) -> AgentExecution | None:
    """Write the end of a run in the caller's transaction, once; None if it was closed before."""
    return close_executions(endings={execution_id: ending}, now=now).get(execution_id)


def close_running(*, execution_id: UUID, ending: Ending, now: datetime) -> AgentExecution:
    """The same; raises RunWithoutLease if it was closed before."""
    closed = close_execution(execution_id=execution_id, ending=ending, now=now)
    if closed is None:
        raise RunWithoutLease
    return closed


def close_executions(
    *, endings: Mapping[UUID, Ending], now: datetime
) -> dict[UUID, AgentExecution]:
    """Write the ends of runs in the caller's transaction; those that were closed before are absent.

    Calls and tokens come from the journal, which knows each even of a run that broke. A model call
    that was under way counts with the most that it can have cost. The runs of agents that these
    called end with them.
    """
    held: list[UUID] = []
    closed = _close(endings, held, now)
    if held:
        unanswered.book_closed(execution_ids=held, now=now)
    return closed


def _close(
    endings: Mapping[UUID, Ending], held: list[UUID], now: datetime
) -> dict[UUID, AgentExecution]:
    """The same, but for what was held; whose is added to `held`, also of those below."""
    running = AgentExecution.objects.select_for_update(no_key=True).filter(
        pk__in=list(endings), status=ExecutionStatus.RUNNING
    )
    closed = {execution.pk: execution for execution in running.only("agent_id").order_by("pk")}
    below = _close_below(list(closed), held, now)
    spent, costs = _spent(list(closed)), costs_of_runs(execution_ids=list(closed))
    held += [pk for pk, cost in costs.items() if cost.is_held]
    for execution in closed.values():
        ending, used = endings[execution.pk], spent.get(execution.pk, UNUSED)
        execution.status = ending.status
        execution.output = ending.output
        execution.error, execution.error_kind = ending.error, ending.error_kind
        execution.held_by = ending.held_by
        execution.tool_calls = used["calls"]
        execution.cost_usd = costs[execution.pk].cost_usd if execution.pk in costs else Decimal(0)
        execution.input_tokens, execution.output_tokens = used["input"], used["output"]
        execution.below_tokens, execution.below_cost_usd = below.get(execution.pk, NOTHING_BELOW)
        execution.duration_ms = ending.duration_ms
        execution.finished_at = execution.updated_at = now
    batches.update(list(closed.values()), CLOSED)
    return closed


def _close_below(
    execution_ids: Sequence[UUID], held: list[UUID], now: datetime
) -> dict[UUID, tuple[int, Decimal]]:
    """Close what still runs below these locked runs; the tokens and cost below each of them."""
    children = AgentExecution.objects.filter(parent__in=execution_ids).order_by()
    found = list(children.values_list("pk", "created_at", "status"))
    if not found:
        return {}
    running = {
        pk: Ending(
            status=ExecutionStatus.CANCELLED,
            error="The run that called this agent ended before it.",
            error_kind=CALLER_ENDED,
            duration_ms=max(0, int((now - began) / timedelta(milliseconds=1))),
        )
        for pk, began, status in found
        if status == ExecutionStatus.RUNNING
    }
    if running:
        _close(running, held, now)
    tokens = F("input_tokens") + F("output_tokens") + F("below_tokens")
    sums = children.values("parent_id").annotate(
        tokens=Sum(tokens), cost=Sum(F("cost_usd") + F("below_cost_usd"))
    )
    return {used["parent_id"]: (used["tokens"], used["cost"]) for used in sums}


def count_runs(*, runs: Sequence[tuple[AgentExecution, bool | None]], now: datetime) -> None:
    """Add closed runs to their agents' totals; success None counts only what the run used."""
    by_agent: dict[UUID, list[tuple[AgentExecution, bool | None]]] = {}
    for run in runs:
        by_agent.setdefault(run[0].agent_id, []).append(run)
    for agent_id in sorted(by_agent):
        _count(agent_id, by_agent[agent_id], now)


def _count(
    agent_id: UUID, runs: Sequence[tuple[AgentExecution, bool | None]], now: datetime
) -> None:
    Agent.objects.filter(pk=agent_id).update(
        tasks_completed=F("tasks_completed") + sum(success is True for _, success in runs),
        tasks_failed=F("tasks_failed") + sum(success is False for _, success in runs),
        total_tokens_used=F("total_tokens_used")
        + sum(execution.input_tokens + execution.output_tokens for execution, _ in runs),
        total_cost_usd=F("total_cost_usd") + sum(execution.cost_usd for execution, _ in runs),
        total_duration_ms=F("total_duration_ms")
        + sum(execution.duration_ms for execution, success in runs if success is not None),
        last_active_at=now,
        updated_at=now,
    )


def _spent(execution_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    steps = (
        ExecutionStep.objects.filter(execution__in=execution_ids).order_by().values("execution_id")
    )
    return {
        used["execution_id"]: dict(used)
        for used in steps.annotate(
            calls=Count("pk", filter=Q(kind=StepKind.TOOL_CALL)),
            input=Sum("input_tokens"),
            output=Sum("output_tokens"),
        )
    }


def lock_running(execution: AgentExecution) -> None:
    """Raises RunWithoutLease for a closed execution: it takes no more steps, because its worker
    lost the lease or was told to stop."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_RUNNING, [execution.pk, ExecutionStatus.RUNNING])
        if cursor.fetchone() is None:
            raise RunWithoutLease
