"""When a task goes on that was put off: later each time that nothing came of it."""

import random
from datetime import datetime, timedelta
from typing import Final

from agents.choices import StepKind, StepStatus
from agents.models import AgentExecution, ExecutionStep
from agents.runtime.spec import HELD, FailureKind, RunFailure
from tasks.models import Task

FIRST_SECONDS: Final = 2.0
MOST_DOUBLINGS: Final = 8
LONGEST_SECONDS: Final = 120.0
# What others use up for the moment: nobody wakes who waits for it.
LONGEST_BY_KIND: Final = {FailureKind.RATE_LIMIT: 30.0, FailureKind.BUDGET_EXHAUSTED: 30.0}
SPREAD_SECONDS: Final = 5.0


def put_off(
    *, task: Task, failure: RunFailure, execution: AgentExecution, now: datetime
) -> datetime:
    """When the task goes on: after what `failure` asks for, or more if it was put off before and
    came no further, doubling from 2 s up to 2 min, or 30 s; counted in `postponed_count`.

    Each time writes an attempt and an execution, so that a wait of seconds must not go on for days.
    What would be beyond the deadline is as short as it was asked for.
    """
    is_stuck = task.error_kind in HELD and not _came_further(execution)
    task.postponed_count = task.postponed_count + 1 if is_stuck else 0
    asked = failure.retry_after_seconds or 0
    doubled = FIRST_SECONDS * 2 ** min(task.postponed_count, MOST_DOUBLINGS)
    longest = LONGEST_BY_KIND.get(failure.kind, LONGEST_SECONDS)
    longer = max(asked, min(doubled, longest)) if is_stuck else asked
    # Spread, so that not all that waited for one provider try it in the same moment.
    spread = random.random() * SPREAD_SECONDS  # noqa: S311 - spreads load, hides nothing
    at = now + timedelta(seconds=longer + spread)
    if task.deadline is None or at < task.deadline:
        return at
    return now + timedelta(seconds=asked + spread)


def _came_further(execution: AgentExecution) -> bool:
    """Whether the run got an answer, of a model or of a call, or an agent that it called did."""
    if execution.below_tokens:
        return True
    begun = ExecutionStep.objects.filter(execution=execution).exclude(
        kind=StepKind.TOOL_CALL, status=StepStatus.STARTED
    )
    return begun.exists()
