"""Replays of a run whose tool is a real service's."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.models import AgentExecution
from agents.runtime.tools import Tool
from tasks.choices import TaskStatus
from tests.agents.factories import make_agent, registered
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Respond
from tests.peers.tool_service import tool_service
from tests.tasks.factories import claim_one, make_task
from tests.tasks.replays.scenes import change, last_run, played, replay
from tests.tasks.scripted import finish
from tests.tools.factories import make_source, make_tool

pytestmark = pytest.mark.django_db(transaction=True)
CALL = "/api/mcp-tools/call"


def respond(body: Mapping[str, Any]) -> Answer:
    done = any(message["role"] == "tool" for message in body["messages"])
    forecast = ("weather_forecast", {"city": "Oslo"})
    return Answer(text="Rain.") if done else Answer(tool_calls=(forecast,))


def result_of(run: AgentExecution) -> Any:
    return run.steps.get(tool="weather:forecast").result


def test_it_is_called_live_and_left_alone_else(
    operator: User,
    organization: Organization,
    peer: ModelPeer,
    script: list[Respond],
    settings: Any,
) -> None:
    settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)
    script.append(respond)
    namesake = Tool(name="weather_forecast", description="", parameters={}, call=lambda *_: None)
    agent = make_agent(organization, llm_provider="openai")
    with tool_service() as service, registered(namesake):
        make_tool(make_source(organization, url=service.url))
        change(agent, enabled_tools=["weather:forecast"])
        service.put("POST", CALL, {"result": "rain"})
        task = make_task(organization, agent=agent)
        finish(claim_one(task))
        origin = last_run(task)
        service.put("POST", CALL, {"result": "snow"})
        # Now that another tool is called so, the model would know the service's by another name.
        version = change(agent, enabled_tools=["weather_forecast", "weather:forecast"])

        recorded = played(replay(operator, origin, version=version))
        asked = len(service.asked)
        live = played(replay(operator, origin, version=version, tools="live"))

    assert (recorded.status, live.status) == (TaskStatus.COMPLETED, TaskStatus.COMPLETED)
    assert (asked, len(service.asked)) == (1, 2)
    assert result_of(origin) == result_of(last_run(recorded))
    assert "rain" in str(result_of(origin))
    assert "snow" in str(result_of(last_run(live)))
