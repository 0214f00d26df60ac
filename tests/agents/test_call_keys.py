"""By what calls are found again: the first of the runs that go on from each other."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization
from agents.models import Agent, AgentExecution
from agents.operations import executions
from agents.selectors import roots_of
from kernel import clock
from tests.agents.factories import make_agent

GoOn = Callable[[AgentExecution | None, UUID], AgentExecution]


@pytest.fixture
def agent(organization: Organization) -> Agent:
    return make_agent(organization)


@pytest.fixture
def go_on(agent: Agent) -> GoOn:
    """A run of a task that goes on from another one."""

    def begin(last: AgentExecution | None, task_id: UUID) -> AgentExecution:
        assert agent.current_version is not None
        opening = executions.Opening(
            version=agent.current_version,
            agent_name=agent.name,
            input="Go on.",
            task_id=task_id,
            attempt_id=None,
            resumed_from_id=last.pk if last else None,
        )
        (run,) = executions.open_executions(openings=[opening], now=clock.now())
        return run

    return begin


def test_the_first_of_a_tasks_runs_is_found_in_one_query(go_on: GoOn) -> None:
    task_id, other_id = uuid4(), uuid4()
    first = go_on(None, task_id)
    last = go_on(go_on(first, task_id), task_id)
    anew = go_on(None, task_id)
    # A fork goes on from a run of another task, and its calls are its own.
    fork = go_on(last, other_id)
    later = go_on(fork, other_id)

    with CaptureQueriesContext(
        connection,
    ) as asked:
        roots = roots_of(executions=[first, last, anew, fork, later])

    assert roots == {
        first.pk: first.pk,
        last.pk: first.pk,
        anew.pk: anew.pk,
        fork.pk: fork.pk,
        later.pk: fork.pk,
    }
    assert len(asked) == 1


def test_who_goes_on_from_nobody_is_its_own_without_a_query(go_on: GoOn) -> None:
    run = go_on(None, uuid4())

    with CaptureQueriesContext(connection) as asked:
        roots = roots_of(executions=[run])

    assert (roots, len(asked)) == ({run.pk: run.pk}, 0)
