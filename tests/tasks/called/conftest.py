"""The boss, its helper and what they are told."""

from collections.abc import Iterator

import pytest

from accounts.models import Organization
from agents.models import Agent
from tasks.models import Task
from tests.agents.factories import make_agent, noting, registered
from tests.peers.model_server import ModelPeer
from tests.peers.script import Respond
from tests.tasks import factories
from tests.tasks.called.scenes import respond


@pytest.fixture
def script() -> list[Respond]:
    """What the models do; a test puts its own last."""
    return [respond]


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the tools in the order in which they were really called."""
    made: list[str] = []
    tools = (
        noting(made, "send_note", "write"),
        noting(made, "look", "read"),
        noting(made, "reach", "read", is_external=True),
    )
    with registered(*tools):
        yield made


@pytest.fixture
def helper(organization: Organization, calls: list[str]) -> Agent:
    """The agent that is called."""
    return make_agent(
        organization,
        name="Helper",
        llm_provider="openai",
        system_prompt="You are the helper.",
        enabled_tools=["send_note", "look"],
        description="Sends notes.",
    )


@pytest.fixture
def boss(organization: Organization, helper: Agent, peer: ModelPeer) -> Agent:
    """The agent that calls it."""
    return make_agent(
        organization,
        name="Boss",
        llm_provider="openai",
        system_prompt="You are the boss.",
        enabled_tools=["agent:Helper"],
    )


@pytest.fixture
def task(boss: Agent) -> Task:
    return factories.make_task(boss.organization, agent=boss)
