"""A run goes by what holds now: overrides, models to fall back on, the catalogue's tools."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization
from agents.models import AgentExecution, AgentOverride, ExecutionStep
from agents.runtime.tools import Tool
from kernel import clock, loop
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.agents.factories import make_agent, make_override, registered
from tests.clients import ApiClient
from tests.hub.console_rows import address
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


@pytest.mark.parametrize(
    ("guardrails", "says"),
    [
        ({"maxToolCalls": 0}, "max_tool_calls is 0, set by the agent's override. Raise it"),
        ({"maxTokenBudget": 1, "maxToolCalls": 5}, " is 1, set by the agent's override. Raise it"),
        ({"maxTokenBudget": 1_000_000}, "max_tool_calls is 0. Raise it"),
    ],
)
def test_a_limit_that_an_override_set_says_so(
    organization: Organization, peer: ModelPeer, guardrails: dict[str, int], says: str
) -> None:
    with registered(tool(lambda _context, _arguments: "worked")):
        agent = make_agent(
            organization, llm_provider="openai", enabled_tools=["work"], max_tool_calls=0
        )
        make_override(organization, agent_name=agent.name, guardrails=guardrails)
        task = factories.make_task(organization, agent=agent, max_retries=0)
        failed = finish(factories.claim_one(task))

    assert says in failed.error


def test_another_model_answers_and_is_billed(
    organization: Organization, peer: ModelPeer, admin: Any, client: Client
) -> None:
    agent = make_agent(
        organization, llm_provider="openai", llm_model="broken", fallback_models=["openai:gpt-4o"]
    )

    done = finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    assert [request.body["model"] for request in peer.requests] == ["broken", "gpt-4o"]
    assert done.status == TaskStatus.COMPLETED
    run = AgentExecution.objects.get()
    skipped = {
        "provider": "openai",
        "model": "broken",
        "kind": "provider_unavailable",
        "message": (
            "OpenAI is out of order at the moment (503). Try again later; check the network, and"
            " HUB_OPENAI_BASE_URL if you set it."
        ),
    }
    (step,) = ApiClient(admin).get(f"/api/v1/executions/{run.pk}").json()["steps"]
    assert step["skipped_models"] == [skipped]
    client.force_login(admin)
    page = client.get(address(AgentExecution, run.pk)).content.decode()
    assert "(provider_unavailable): OpenAI is out of order" in page
    # What is played again shows what was.
    again = ApiClient(admin).post(f"/api/v1/executions/{run.pk}/replay", {}).json()["task_id"]
    finish(factories.claim_one(Task.objects.get(pk=again)))
    played = ExecutionStep.objects.exclude(execution=run).get()
    assert (played.skipped_models, len(peer.requests)) == ([skipped], 2)


def test_a_run_says_which_tools_it_was_not_offered(
    organization: Organization, peer: ModelPeer, admin: Any, client: Client
) -> None:
    names = ["work", *(f"gone:{number}" for number in range(60))]
    with registered(tool(lambda _context, _arguments: "worked")):
        agent = make_agent(organization, llm_provider="openai", enabled_tools=["work"])
        make_override(organization, agent_name=agent.name, selected_tools=["work"])
        AgentOverride.objects.update(selected_tools=names)  # as it is once sources are gone
        done = finish(factories.claim_one(factories.make_task(organization, agent=agent)))
    run = AgentExecution.objects.get()
    client.force_login(admin)

    shown = ApiClient(admin).get(f"/api/v1/executions/{run.pk}").json()["tools_left_out"]
    page = client.get(address(AgentExecution, run.pk)).content.decode()

    assert (done.status, len(shown)) == (TaskStatus.COMPLETED, 50)
    assert shown[0] == {"name": "gone:0", "reason": "It is not in the tool catalogue (any more)."}
    assert "Tools left out" in page


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
