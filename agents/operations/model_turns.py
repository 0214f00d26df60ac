"""Recording a model's answer: the step of its run, and what it cost, in one message."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from psycopg.types.json import Jsonb

from agents.choices import ExecutionStatus, StepKind, StepStatus
from agents.errors import RunWithoutLease
from agents.models import Agent, AgentExecution, ExecutionStep
from agents.runtime.journal import ModelTurn
from cost import operations as cost
from cost.models import UsageRecord
from cost.operations import ledger
from kernel import ids

# The call is booked for the row that is locked: without one, nothing is. Each of its statements
# sees what was committed before the lock was had (it is volatile).
_RECORD: Final = """
WITH held AS (
  SELECT id FROM agents_agentexecution
  WHERE id = %(execution_id)s AND status = %(running)s FOR NO KEY UPDATE
),
booked AS MATERIALIZED (
  SELECT found.* FROM held CROSS JOIN LATERAL {booked} AS found
),
step AS (
  INSERT INTO agents_executionstep (id, created_at, updated_at, organization_id, execution_id,
    ordinal, kind, status, text, tool, call_id, error, message, provider, model, skipped_models,
    input_tokens, output_tokens, cost_usd, duration_ms)
  SELECT %(step_id)s, %(now)s, %(now)s, %(organization_id)s, held.id, %(ordinal)s, %(kind)s,
    %(done)s, %(text)s, '', '', '', %(message)s, %(provider)s, %(answered_by)s, %(skipped)s,
    %(input_tokens)s, %(output_tokens)s, coalesce((SELECT cost_usd FROM booked LIMIT 1), 0),
    %(duration_ms)s
  FROM held WHERE EXISTS (SELECT FROM booked)
)
SELECT * FROM booked
"""
_IN_TRANSACTION: Final = _RECORD.format(booked=ledger.book_sql(execution_id="held.id"))
_ALONE: Final = _RECORD.format(booked=ledger.book_sql(execution_id="held.id", is_alone=True))


def record_turn(*, execution: AgentExecution, ordinal: int, turn: ModelTurn, now: datetime) -> None:
    """Journal one model answer and book its tokens.

    Raises RunWithoutLease once the run is closed; an answer that came late is booked all the same,
    because it was paid for.
    """
    try:
        _record_turn(execution, ordinal, turn, now)
    except RunWithoutLease:
        cost.record_usage(**_call(execution, ordinal, turn, now))
        raise


def _record_turn(execution: AgentExecution, ordinal: int, turn: ModelTurn, now: datetime) -> None:
    booking, step = ledger.prepare(**_call(execution, ordinal, turn, now)), _step(turn)
    asked = booking.parameters | step
    if execution.parent_id is None and (rows := ledger.run_alone(_ALONE, asked)):
        booking.finish(rows)
        return
    with transaction.atomic():
        if execution.parent_id is not None:
            _lock_agent(execution.agent_id)
        with connection.cursor() as cursor:
            cursor.execute(_IN_TRANSACTION, asked)
            rows = cursor.fetchall()
        if not rows:
            raise RunWithoutLease
        usage = booking.finish(rows)
        if rows[0][0] is None:  # booked before, perhaps by a sweep for which this statement waited
            ExecutionStep.objects.filter(pk=step["step_id"]).update(cost_usd=usage.cost_usd)
        if execution.parent_id is not None:
            _count_turn(execution.agent_id, turn, usage, now)


def _call(
    execution: AgentExecution, ordinal: int, turn: ModelTurn, now: datetime
) -> dict[str, Any]:
    return {
        "organization_id": execution.organization_id,
        "provider": turn.provider,
        "model": turn.asked_model or turn.model,
        "answered_by": turn.model,
        "usage": turn.usage,
        "execution_id": execution.pk,
        "ordinal": ordinal,
        "agent_id": execution.agent_id,
        "task_id": execution.task_id,
        "user_id": execution.user_id,
        "now": now,
    }


def _step(turn: ModelTurn) -> dict[str, Any]:
    """The parameters that the step has and the booking has not."""
    skipped = [asdict(each) for each in turn.skipped]
    return {
        "running": ExecutionStatus.RUNNING.value,
        "step_id": ids.new(),
        "kind": StepKind.MODEL_TURN.value,
        "done": StepStatus.DONE.value,
        "text": turn.text,
        "message": Jsonb(turn.message),
        "answered_by": turn.model[:128],
        "skipped": Jsonb(skipped) if skipped else None,
        "duration_ms": turn.duration_ms,
    }


def _lock_agent(agent_id: UUID) -> None:
    # Before the execution, as everybody locks them.
    list(Agent.objects.select_for_update(no_key=True).filter(pk=agent_id).values_list("pk"))


def _count_turn(agent_id: UUID, turn: ModelTurn, usage: UsageRecord, now: datetime) -> None:
    """Add a turn of an agent that was called to its totals.

    Not at the end of its run: that may come with the end of its caller's, and who ends that one has
    locked other agents.
    """
    Agent.objects.filter(pk=agent_id).update(
        total_tokens_used=F("total_tokens_used") + turn.usage.total_tokens,
        total_cost_usd=F("total_cost_usd") + usage.cost_usd,
        last_active_at=now,
        updated_at=now,
    )
