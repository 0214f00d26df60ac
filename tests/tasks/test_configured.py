"""A run goes by what holds now: overrides, models to fall back on, the catalogue's tools."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from accounts.models import Organization
from agents.models import ExecutionStep
from agents.runtime.tools import Tool
from kernel import clock, loop
from tasks.choices import TaskStatus
from tests.agents.factories import make_agent, make_override, registered
from tests.clients import ApiClient
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Refusal, Step
from tests.tasks import factories
from tests.tasks.scripted import answering, finish

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "x" * 60_000


def respond(body: Mapping[str, Any]) -> Step:
    if body["model"] == "broken":
        return Refusal(status=503)
    if "tools" in body and not any(message["role"] == "tool" for message in body["messages"]):
        return Answer(tool_calls=(("work", {}),))
    return Answer(text="Done.")


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    with answering(monkeypatch, respond) as model:
        yield model


def tool(call: Any) -> Tool:
    return Tool(name="work", description="Work.", parameters={"type": "object"}, call=call)


def test_an_agent_that_is_disabled_while_it_works_stops_before_its_next_turn(
    organization: Organization, peer: ModelPeer
) -> None:
    async def disable(_context: Any, _arguments: Any) -> str:
        override = partial(make_override, organization, agent_name="Busy", enabled=False)
        await loop.get().in_database(override)
        return "worked"

    with registered(tool(disable)):
        agent = make_agent(organization, name="Busy", llm_provider="openai", enabled_tools=["work"])
        task = factories.make_task(organization, agent=agent)
        waiting = finish(factories.claim_one(task))

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "agent_disabled")
    assert (waiting.retry_count, len(peer.requests)) == (0, 1)
    later = clock.now() + timedelta(minutes=1)
    assert factories.claim_all(now=later) == []


def test_what_an_override_says_counts(organization: Organization, peer: ModelPeer) -> None:
    agent = make_agent(organization, llm_provider="demo")
    values = {"provider": "openai", "model": "other", "system_prompt": "Be kind.", "max_tokens": 7}
    make_override(organization, agent_name=agent.name, **values)

    done = finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    sent = peer.requests[0].body
    assert done.result == "Done."
    assert (sent["model"], sent["max_completion_tokens"]) == ("other", 7)
    assert sent["messages"][0]["content"] == "Be kind."


def test_another_model_answers_and_is_billed(organization: Organization, peer: ModelPeer) -> None:
    agent = make_agent(
        organization, llm_provider="openai", llm_model="broken", fallback_models=["openai:gpt-4o"]
    )

    done = finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    assert [request.body["model"] for request in peer.requests] == ["broken", "gpt-4o"]
    assert done.status == TaskStatus.COMPLETED


def test_a_long_output_is_kept_whole_beside_what_the_model_saw(
    organization: Organization, peer: ModelPeer, admin: Any
) -> None:
    with registered(tool(lambda _context, _arguments: LONG)):
        agent = make_agent(organization, llm_provider="openai", enabled_tools=["work"])
        finish(factories.claim_one(factories.make_task(organization, agent=agent)))
    step = ExecutionStep.objects.get(tool="work")
    client = ApiClient(admin)

    shown = client.get(f"/api/v1/executions/{step.execution_id}").json()["steps"][1]
    whole = client.get(shown["whole_result_link"]).json()

    assert len(shown["result"].encode()) == 50_000
    assert shown["result"].endswith("[cut: 60000 bytes, of which the tool may return 50000]")
    assert whole == {"step_id": str(step.pk), "text": LONG}
