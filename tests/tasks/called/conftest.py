"""The boss, its helper and what they are told."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from accounts.models import Organization
from agents.models import Agent
from agents.runtime.tools import Tool
from tasks.models import Task
from tests.agents.factories import (
    make_agent,
    registered,
)
from tests.peers.model_server import ModelPeer
from tests.peers.script import Respond, Step
from tests.tasks import factories
from tests.tasks.called.scenes import respond
from tests.tasks.scripted import answering


@pytest.fixture
def script() -> list[Respond]:
    """What the models do; a test puts its own last."""
    return [respond]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch, script: list[Respond]) -> Iterator[ModelPeer]:
    def as_told(body: Mapping[str, Any]) -> Step:
        return script[-1](body)

    with answering(monkeypatch, as_told) as model:
        yield model


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the tools in the order in which they were really called."""
    made: list[str] = []

    def tool(name: str, side_effect: Any, **fields: Any) -> Tool:
        def call(_context: Any, _arguments: Mapping[str, Any]) -> Any:
            made.append(name)
            return {"done": name}

        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        return Tool(
            name=name,
            description=name,
            parameters=schema,
            call=call,
            side_effect=side_effect,
            idempotent=side_effect == "read",
            **fields,
        )

    tools = (
        tool("send_note", "write"),
        tool("look", "read"),
        tool("reach", "read", is_external=True),
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
