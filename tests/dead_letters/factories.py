"""Dead letters for tests."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from accounts.models import Organization
from agents.models import Agent
from kernel import clock
from tasks.models import Task
from tasks.operations import endings
from tests.agents.factories import failed, make_agent
from tests.tasks.factories import claim_one, make_task


def fail(
    task: Task, *, message: str = "The provider is away.", now: datetime | None = None
) -> Task:
    """One attempt at `task` that fails."""
    now = now or clock.now()
    result = failed()
    assert result.error is not None
    result = replace(result, error=replace(result.error, message=message))
    return endings.settle_attempt(claim=claim_one(task, now=now), result=result, now=now)


def make_dead(
    organization: Organization,
    *,
    agent: Agent | None = None,
    message: str = "The provider is away.",
    now: datetime | None = None,
    **values: Any,
) -> Task:
    """A task whose only attempt failed."""
    agent = agent or make_agent(organization)
    return fail(
        make_task(organization, agent=agent, max_retries=0, now=now, **values),
        message=message,
        now=now,
    )
