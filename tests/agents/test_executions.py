"""The journal of a run: written as it goes, closed once, never after."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from agents import selectors
from agents.choices import ExecutionStatus, StepKind, StepStatus
from agents.errors import ExecutionNotFound, RunWithoutLease
from agents.models import AgentExecution, ExecutionStep
from agents.operations import executions, model_turns
from agents.runtime.journal import ModelTurn, ToolCall, ToolResult
from agents.runtime.spec import Usage
from cost.models import UsageRecord
from kernel import clock
from tasks.operations import endings
from tests.agents.factories import answered, make_agent
from tests.tasks.factories import claim_one, make_task


@pytest.fixture
def execution(organization: Organization) -> AgentExecution:
    """A run that has just begun."""
    agent = make_agent(organization)
    return claim_one(make_task(organization, agent=agent)).execution


def model_turn() -> ModelTurn:
    return ModelTurn(
        ordinal=1,
        provider="openai",
        model="gpt-4o-mini",
        text="Thinking.",
        tool_calls=(),
        usage=Usage(requests=1, input_tokens=1000, output_tokens=100),
        finish_reason="tool_call",
        duration_ms=5,
        message={"kind": "response"},
    )


def tool_result(error: str | None = None) -> ToolResult:
    result = None if error else {"value": 4}
    return ToolResult(
        id="call-1", tool="calculator", result=result, error=error, duration_ms=1, message={}
    )


CALL = ToolCall(id="call-1", tool="calculator", arguments={"expression": "2+2"})


def test_steps_are_shown_in_order_with_their_outcomes(execution: AgentExecution) -> None:
    scope: dict[str, Any] = {"execution": execution, "now": clock.now()}
    model_turns.record_turn(ordinal=1, turn=model_turn(), **scope)
    call = executions.record_tool_call(ordinal=2, call=CALL, **scope)
    broken = executions.record_tool_call(ordinal=3, call=CALL, **scope)
    model_turns.record_turn(ordinal=4, turn=model_turn(), **scope)
    # Last first: an updated row moves to the end of the table.
    executions.record_tool_result(step_id=broken.pk, result=tool_result("No."), **scope)
    executions.record_tool_result(step_id=call.pk, result=tool_result(), **scope)

    found = selectors.get_execution(
        organization_id=execution.organization_id, execution_id=execution.pk
    )

    assert [
        (step.ordinal, step.kind, step.status, step.result, step.error)
        for step in found.steps.all()
    ] == [
        (1, StepKind.MODEL_TURN, StepStatus.DONE, None, ""),
        (2, StepKind.TOOL_CALL, StepStatus.DONE, {"value": 4}, ""),
        (3, StepKind.TOOL_CALL, StepStatus.FAILED, None, "No."),
        (4, StepKind.MODEL_TURN, StepStatus.DONE, None, ""),
    ]


def test_a_turn_is_booked(execution: AgentExecution) -> None:
    model_turns.record_turn(execution=execution, ordinal=1, turn=model_turn(), now=clock.now())

    step = ExecutionStep.objects.get()
    usage = UsageRecord.objects.get()
    assert (step.input_tokens, step.output_tokens) == (1000, 100)
    assert step.cost_usd == usage.cost_usd == Decimal("0.00021")
    assert (usage.execution_id, usage.agent_id, usage.task_id) == (
        execution.pk,
        execution.agent_id,
        execution.task_id,
    )


def test_the_end_sums_the_journal_and_is_written_once(execution: AgentExecution) -> None:
    now = clock.now()
    for ordinal in (1, 2):
        model_turns.record_turn(execution=execution, ordinal=ordinal, turn=model_turn(), now=now)
    ending = executions.Ending(status=ExecutionStatus.SUCCESS, output="4")

    closed = executions.close_execution(execution_id=execution.pk, ending=ending, now=now)
    again = executions.close_execution(execution_id=execution.pk, ending=ending, now=now)

    assert closed is not None
    assert again is None
    assert (closed.input_tokens, closed.output_tokens) == (2000, 200)
    assert (closed.cost_usd, closed.finished_at) == (Decimal("0.00042"), now)


def test_a_closed_run_takes_no_more_steps(execution: AgentExecution) -> None:
    now = clock.now()
    step = executions.record_tool_call(execution=execution, ordinal=1, call=CALL, now=now)
    ending = executions.Ending(status=ExecutionStatus.CANCELLED)
    executions.close_execution(execution_id=execution.pk, ending=ending, now=now)
    scope: dict[str, Any] = {"execution": execution, "now": now}

    for late in (
        lambda: model_turns.record_turn(ordinal=2, turn=model_turn(), **scope),
        lambda: executions.record_tool_call(ordinal=2, call=CALL, **scope),
        lambda: executions.record_tool_result(step_id=step.pk, result=tool_result(), **scope),
    ):
        with pytest.raises(RunWithoutLease):
            late()

    assert list(ExecutionStep.objects.values_list("status", flat=True)) == [StepStatus.STARTED]
    # It was paid for all the same, and is booked once.
    with pytest.raises(RunWithoutLease):
        model_turns.record_turn(ordinal=2, turn=model_turn(), **scope)
    assert UsageRecord.objects.get().input_tokens == model_turn().usage.input_tokens


def test_the_agents_totals_follow(organization: Organization) -> None:
    agent = make_agent(organization)
    for _ in range(2):
        claim = claim_one(make_task(organization, agent=agent))
        model_turns.record_turn(
            execution=claim.execution, ordinal=1, turn=model_turn(), now=clock.now()
        )
        endings.settle_attempt(claim=claim, result=answered(), now=clock.now())

    agent.refresh_from_db()
    assert (agent.tasks_completed, agent.success_rate) == (2, 1.0)
    assert (agent.total_tokens_used, agent.total_cost_usd) == (2200, Decimal("0.00042"))
    assert agent.average_task_duration_seconds == 0.007


def test_another_organizations_execution_is_not_found(
    execution: AgentExecution, other_organization: Organization
) -> None:
    scope: Any = {"organization_id": other_organization.pk, "execution_id": execution.pk}

    with pytest.raises(ExecutionNotFound):
        selectors.get_execution(**scope)
    assert not selectors.list_steps(**scope)
