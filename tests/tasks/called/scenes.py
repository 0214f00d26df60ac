"""A boss that has its helper send a note."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, Final

import pytest
from django.db.models import F, Sum

from accounts.models import Organization
from agents.models import Agent, AgentExecution
from agents.operations import registry
from cost.models import UsageRecord
from kernel import clock
from tasks.models import Task
from tests.agents.factories import (
    PERSON,
    make_agent,
)
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Respond, Step
from tests.tasks import factories
from tests.tasks.scripted import finish

CALL: Final = ("agent_Helper", {"prompt": "Send the note."})


def says(body: Mapping[str, Any], word: str) -> bool:
    return word in json.dumps(body["messages"])


def results(body: Mapping[str, Any]) -> int:
    return sum(message["role"] == "tool" for message in body["messages"])


def respond(body: Mapping[str, Any]) -> Step:
    """The boss calls the helper, the helper looks and sends the note; then each answers."""
    done = results(body)
    if says(body, "You are the boss."):
        return Answer(text="All done.") if done else Answer(tool_calls=(CALL,))
    return (
        Answer(tool_calls=(("look", {}),)),
        Answer(tool_calls=(("send_note", {"text": "hello"}),)),
        Answer(text="The note is sent."),
    )[done]


def change(agent: Agent, **values: Any) -> Agent:
    return registry.update_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values=values,
        actor=PERSON,
        now=clock.now(),
    )


def go_on(task: Task, *, after: timedelta = timedelta(seconds=9)) -> Task:
    """The end of the run that goes on now."""
    return finish(factories.claim_one(task, now=clock.now() + after))


@contextmanager
def at_write(module: Any, name: str, act: Callable[[], Any], number: int = 1) -> Iterator[None]:
    """Do this before the `number`th of these writes."""
    write, reached = getattr(module, name), count(1)

    def call(**arguments: Any) -> Any:
        if next(reached) == number:
            act()
        return write(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, call)
        yield


def child() -> AgentExecution:
    """The last run of a called agent."""
    found = AgentExecution.objects.filter(depth__gt=0).order_by("-created_at", "-pk").first()
    assert found is not None
    return found


def told(peer: ModelPeer) -> str:
    """What the model was sent last."""
    return json.dumps(peer.requests[-1].body["messages"])


def assert_paid_once(task: Task) -> None:
    """The ledger, the task and the agents agree."""
    task.refresh_from_db()
    used = UsageRecord.objects.aggregate(
        tokens=Sum(F("input_tokens") + F("output_tokens")), cost=Sum("cost_usd")
    )
    agents = Agent.objects.aggregate(tokens=Sum("total_tokens_used"), cost=Sum("total_cost_usd"))
    assert (task.cost_tokens, task.cost_usd) == (used["tokens"], used["cost"])
    assert agents == used


def make_circle(organization: Organization, script: list[Respond]) -> Task:
    """A task of an agent that calls itself, whatever it is asked."""
    again = Answer(tool_calls=(("agent_Echo", {"prompt": "Again."}),))
    script.append(lambda body: Answer(text="Done.") if results(body) else again)
    echo = make_agent(organization, name="Echo", llm_provider="openai")
    change(echo, enabled_tools=["agent:Echo"])
    return factories.make_task(organization, agent=echo)
