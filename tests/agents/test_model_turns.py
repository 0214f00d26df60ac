"""An answer on record: one statement, for a run that goes on, and what it cost."""

from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from agents.choices import ExecutionStatus, StepKind
from agents.errors import RunWithoutLease
from agents.models import AgentExecution, ExecutionStep
from agents.operations import executions, model_turns
from audit.models import AuditEvent
from cost import operations as cost
from cost.models import BudgetWindow, UsageRecord
from cost.operations import alerts
from kernel import clock
from tests.agents.factories import make_agent, reserve
from tests.agents.test_executions import model_turn
from tests.cost.factories import make_budget
from tests.tasks.factories import claim_one, make_task
from tests.threads import Gate, Pool, Waiters

CLOSED = executions.Ending(status=ExecutionStatus.CANCELLED)


@pytest.fixture
def execution(organization: Organization) -> AgentExecution:
    """A run that has just begun."""
    return claim_one(make_task(organization, agent=make_agent(organization))).execution


def failing(**_: object) -> None:
    raise RuntimeError


def record(execution: AgentExecution, ordinal: int = 1) -> None:
    model_turns.record_turn(
        execution=execution, ordinal=ordinal, turn=model_turn(), now=clock.now()
    )


@pytest.mark.django_db(transaction=True)
def test_it_is_one_message_and_its_own_transaction(
    execution: AgentExecution, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        record(execution)

    assert ExecutionStep.objects.get().cost_usd == UsageRecord.objects.get().cost_usd > 0


@pytest.mark.django_db(transaction=True)
def test_a_threshold_is_told_in_the_transaction_of_the_answer(
    execution: AgentExecution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_budget(execution.organization, "0.0004", period="total", alert_thresholds=[50])
    reserve(execution, output_tokens=100)

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "tell", failing)
        with pytest.raises(RuntimeError):
            record(execution)
    undone = ExecutionStep.objects.count(), UsageRecord.objects.count()
    record(execution)

    assert undone == (0, 0)
    assert ExecutionStep.objects.get().cost_usd == UsageRecord.objects.get().cost_usd > 0
    assert BudgetWindow.objects.get().alerted_percent == 50
    assert AuditEvent.objects.filter(action="budget.alert").count() == 1


def test_a_call_that_was_booked_before_is_shown_with_what_it_cost(
    execution: AgentExecution,
) -> None:
    call: dict[str, Any] = {"execution_id": execution.pk, "ordinal": 1, "now": clock.now()}
    former = cost.record_usage(
        organization_id=execution.organization_id,
        provider="openai",
        model="gpt-4o",
        usage=model_turn().usage,
        **call,
    )

    record(execution)

    assert UsageRecord.objects.get().pk == former.pk
    assert ExecutionStep.objects.get().cost_usd == former.cost_usd > Decimal("0.001")


@pytest.mark.django_db(transaction=True)
def test_an_answer_behind_the_end_of_its_run_is_paid_for_and_no_step(
    execution: AgentExecution,
) -> None:
    """The statement waits for the row, and looks again once whoever closes it has committed."""
    gate = Gate()

    def close() -> None:
        with closing(connection), transaction.atomic():
            executions.close_execution(execution_id=execution.pk, ending=CLOSED, now=clock.now())
            gate()

    def answer() -> None:
        with closing(connection):
            record(execution)

    with Pool(2) as pool:
        closed = pool.submit(close)
        gate.wait()
        late = pool.submit(answer)
        Waiters().wait_for(1)
        gate.open()
        closed.result(20)
        with pytest.raises(RunWithoutLease):
            late.result(20)

    assert not ExecutionStep.objects.exists()
    assert UsageRecord.objects.get().ordinal == 1


def test_a_step_that_cannot_be_stored_books_nothing(execution: AgentExecution) -> None:
    ExecutionStep.objects.create(
        organization_id=execution.organization_id,
        execution=execution,
        ordinal=1,
        kind=StepKind.TOOL_CALL,
    )

    with pytest.raises(IntegrityError, match="execution_step_ordinal"), transaction.atomic():
        record(execution)

    assert not UsageRecord.objects.exists()
