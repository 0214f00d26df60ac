"""A run that looked, sent a note and answered."""

import pytest

from accounts.models import Organization
from agents.models import Agent, AgentExecution
from tests.agents.factories import make_agent
from tests.peers.model_server import ModelPeer
from tests.peers.script import Respond
from tests.tasks.factories import claim_one, make_task
from tests.tasks.replays.scenes import respond
from tests.tasks.scripted import finish


@pytest.fixture
def script() -> list[Respond]:
    """What the model does; a test puts its own last."""
    return [respond]


@pytest.fixture
def agent(organization: Organization, calls: list[str]) -> Agent:
    return make_agent(
        organization,
        llm_provider="openai",
        llm_model="gpt-4o",
        enabled_tools=["look", "send_note"],
    )


@pytest.fixture
def origin(agent: Agent, peer: ModelPeer) -> AgentExecution:
    """The run that is played again: a turn, two calls, an answer."""
    task = make_task(agent.organization, agent=agent, title="Write", description="Once.")
    finish(claim_one(task))
    return AgentExecution.objects.get(task_id=task.pk)
