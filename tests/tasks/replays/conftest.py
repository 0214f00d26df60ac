"""A run that looked, sent a note and answered."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from accounts.models import Organization
from agents.models import Agent, AgentExecution
from agents.runtime.tools import Tool
from tests.agents.factories import make_agent, registered
from tests.peers.model_server import ModelPeer
from tests.peers.script import Respond, Step
from tests.tasks.factories import claim_one, make_task
from tests.tasks.replays.scenes import respond
from tests.tasks.scripted import answering, finish


@pytest.fixture
def script() -> list[Respond]:
    """What the model does; a test puts its own last."""
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

    def tool(name: str, side_effect: Any) -> Tool:
        def call(_context: Any, _arguments: Mapping[str, Any]) -> Any:
            made.append(name)
            return {"call": len(made)}

        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        return Tool(
            name=name,
            description=name,
            parameters=schema,
            call=call,
            side_effect=side_effect,
            idempotent=side_effect == "read",
        )

    with registered(tool("send_note", "write"), tool("look", "read")):
        yield made


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
