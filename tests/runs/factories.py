"""Direct runs for tests."""

from typing import Any

from accounts.models import User
from agents.choices import ExecutionSource
from agents.models import Agent
from kernel import clock
from runs.operations import starting
from runs.operations.starting import Asked
from tasks.models import Task
from tests.agents.factories import PERSON


def start_run(agent: Agent, user: User, **values: Any) -> Task:
    """A direct run of `agent` that `user` asked for."""
    now = values.pop("now", None) or clock.now()
    source = values.pop("source", ExecutionSource.REST)
    return starting.start_run(
        agent=agent,
        asked=Asked(**{"prompt": "Say hello.", **values}),
        source=source,
        user_id=user.pk,
        actor=PERSON,
        now=now,
    )
