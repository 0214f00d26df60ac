"""Tasks and claims for tests."""

from datetime import datetime, timedelta
from typing import Any, Final

from accounts.models import Organization
from agents.models import Agent
from kernel import clock
from tasks.models import Task
from tasks.operations import claims, requests
from tasks.operations.claims import Claim
from tests.agents.factories import PERSON

LEASE: Final = timedelta(seconds=30)


def make_task(
    organization: Organization,
    *,
    agent: Agent | None = None,
    now: datetime | None = None,
    **values: Any,
) -> Task:
    """A task, assigned if an agent is named."""
    return requests.create_task(
        organization_id=organization.pk,
        values={"title": "Say hello", "agent_id": agent.pk if agent else None, **values},
        actor=PERSON,
        now=now or clock.now(),
    )


def claim_all(
    *, limit: int = 50, worker: str = "worker:1", now: datetime | None = None
) -> list[Claim]:
    """Whatever can be claimed."""
    return claims.claim_tasks(worker=worker, limit=limit, lease=LEASE, now=now or clock.now())


def claim_one(task: Task, **how: Any) -> Claim:
    """The claim on `task`, which must be claimable."""
    (claim,) = [claim for claim in claim_all(**how) if claim.task_id == task.pk]
    return claim


def act(operation: Any, task: Task, *, now: datetime | None = None, **more: Any) -> Task:
    """One of `tasks.operations.requests`, as a person."""
    result: Task = operation(
        organization_id=task.organization_id,
        task_id=task.pk,
        actor=PERSON,
        now=now or clock.now(),
        **more,
    )
    return result


def change(task: Task, *, now: datetime | None = None, **values: Any) -> Task:
    """`PATCH` of `task` as a person."""
    return act(requests.update_task, task, now=now, values=values)
