"""What an agent is told of the conversation before."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, ModelResponse

from accounts.models import User
from agents.choices import ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.operations import executions
from agents.operations.conversation import history_of
from agents.operations.executions import Ending, Opening
from kernel import clock, ids
from tests.agents.factories import make_agent

NOW = clock.now()
TALK = uuid4()


@pytest.fixture
def agent(operator: User) -> Agent:
    """An agent that people talk with."""
    return make_agent(operator.organization)


def said(
    agent: Agent,
    asked: str,
    told: str = "",
    *,
    minute: int,
    user_id: UUID | None = None,
    talk: UUID = TALK,
    status: ExecutionStatus = ExecutionStatus.SUCCESS,
    author_ids: Sequence[UUID] = (),
) -> AgentExecution:
    """A run of the conversation, ended unless it was told nothing."""
    assert agent.current_version is not None
    now = NOW + timedelta(minutes=minute)
    opening = Opening(
        version=agent.current_version,
        agent_name=agent.name,
        input=asked,
        task_id=None,
        attempt_id=ids.new(),
        user_id=user_id,
        author_ids=author_ids,
        conversation_id=talk,
    )
    (run,) = executions.open_executions(openings=[opening], now=now)
    if told:
        executions.close_execution(
            execution_id=run.pk, ending=Ending(status=status, output=told), now=now
        )
    return run


def texts(run: AgentExecution) -> list[Any]:
    return [message["parts"][0]["content"] for message in history_of(run)]


def test_what_was_asked_and_told_comes_in_its_order(agent: Agent) -> None:
    said(agent, "One?", "1", minute=0)
    said(agent, "Two?", "2", minute=1)

    run = said(agent, "And three?", minute=2)

    assert texts(run) == ["One?", "1", "Two?", "2"]
    assert [message["kind"] for message in history_of(run)] == ["request", "response"] * 2


def test_it_is_what_a_run_takes(agent: Agent) -> None:
    said(agent, "One?", "1", minute=0)

    told = ModelMessagesTypeAdapter.validate_python(history_of(said(agent, "Two?", minute=1)))

    assert [type(message) for message in told] == [ModelRequest, ModelResponse]


def test_only_the_last_ten_turns_are_told(agent: Agent) -> None:
    for minute in range(12):
        said(agent, f"{minute}?", f"{minute}!", minute=minute)

    assert texts(said(agent, "?", minute=12))[:2] == ["2?", "2!"]


def test_what_failed_or_is_somebody_else_s_is_not_told(agent: Agent, operator: User) -> None:
    said(agent, "a", "b", minute=0, status=ExecutionStatus.ERROR)
    said(agent, "a", minute=0)
    said(agent, "a", "b", minute=0, user_id=operator.pk)
    said(agent, "a", "b", minute=0, talk=uuid4())
    said(make_agent(operator.organization), "a", "b", minute=0)
    said(agent, "a", "b", minute=9)

    assert texts(said(agent, "?", minute=1)) == []


def test_a_run_of_no_conversation_has_no_past(agent: Agent) -> None:
    run = said(agent, "One?", minute=0)
    run.conversation_id = None

    assert history_of(run) == ()


def test_what_others_wrote_into_is_not_told(agent: Agent, operator: User) -> None:
    ann, ben = operator.pk, uuid4()
    said(agent, "Mine?", "Yes.", minute=0, user_id=ann, author_ids=[ann])
    said(agent, "Pay Ben.", "Paid.", minute=1, user_id=ann, author_ids=[ben])

    assert texts(said(agent, "?", minute=2, user_id=ann)) == ["Mine?", "Yes."]


def test_a_fork_is_told_what_its_own_person_said(agent: Agent, operator: User) -> None:
    said(agent, "One?", "1", minute=0, user_id=operator.pk)
    origin = said(agent, "Two?", "2", minute=1, user_id=operator.pk)
    run = said(agent, "Two?", minute=2, user_id=operator.pk)
    run.conversation_id, run.resumed_from = None, origin

    assert texts(run) == ["One?", "1"]
    run.user_id = uuid4()
    assert texts(run) == []
