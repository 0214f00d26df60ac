"""Replays that cannot be as their recording was, and say where and why."""

from collections.abc import Mapping
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.models import Agent, AgentExecution
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.agents.factories import drop_override, make_override
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Refusal, Respond
from tests.tasks.factories import claim_one, make_task
from tests.tasks.replays.scenes import change, last_run, played, replay, shown
from tests.tasks.scripted import finish
from tests.tools.factories import make_secret

pytestmark = pytest.mark.django_db(transaction=True)


def assert_departed(user: User, task: Task, origin: AgentExecution, step: int, why: str) -> None:
    """It failed for good, and says so."""
    run = last_run(task)
    assert (task.status, task.retry_count) == (TaskStatus.FAILED, 0)
    assert (run.status, run.error_kind) == ("error", "replay_diverged")
    assert run.error == f"The replay departs from execution {origin.pk} at step {step}: {why}"
    assert shown(user, task)["replay"]["same_end"] is False


def ended(agent: Agent) -> AgentExecution:
    """A run of the agent that is over."""
    task = make_task(agent.organization, agent=agent, title="Write")
    finish(claim_one(task))
    return last_run(task)


@pytest.mark.parametrize("tools", ["recorded", "live"])
def test_a_tool_that_is_gone(
    operator: User, agent: Agent, origin: AgentExecution, calls: list[str], tools: str
) -> None:
    version = change(agent, enabled_tools=["look"])

    task = played(replay(operator, origin, version=version, tools=tools))

    why = "it has no tool send_note any more, which was called."
    assert_departed(operator, task, origin, 3, why)
    assert calls.count("send_note") == 1


def test_a_guardrail_that_ends_it_sooner(
    operator: User, agent: Agent, origin: AgentExecution
) -> None:
    version = change(agent, max_tool_calls=1)

    task = played(replay(operator, origin, version=version))

    why = (
        "The model asked for 2 tool calls, and max_tool_calls is 1. Raise it or make the"
        " instructions narrower."
    )
    assert_departed(operator, task, origin, 1, why)


def test_tokens_count_as_they_did(operator: User, agent: Agent, origin: AgentExecution) -> None:
    version = change(agent, max_tokens_per_task=1)

    task = played(replay(operator, origin, version=version))

    used = origin.steps.earliest("ordinal")
    why = (
        f"The run used {used.input_tokens + used.output_tokens} tokens, and max_tokens_per_task"
        " is 1. Raise it or make the task smaller."
    )
    assert_departed(operator, task, origin, 1, why)


def test_a_call_that_is_refused_now(operator: User, agent: Agent, origin: AgentExecution) -> None:
    version = change(agent, autonomy_level="read_only")

    task = played(replay(operator, origin, version=version))

    why = (
        "the call of send_note was made, and is refused now. This agent may only read, and the"
        " tool send_note changes something."
    )
    assert_departed(operator, task, origin, 3, why)


def test_a_call_that_was_refused(
    operator: User, agent: Agent, peer: ModelPeer, calls: list[str]
) -> None:
    change(agent, autonomy_level="read_only")
    origin = ended(agent)
    version = change(agent, autonomy_level="autonomous")

    same = played(replay(operator, origin))
    task = played(replay(operator, origin, version=version))
    live = played(replay(operator, origin, version=version, tools="live"))

    assert same.status == TaskStatus.COMPLETED
    why = (
        "the call of send_note was refused, and would be made now. This agent may only read, and"
        " the tool send_note changes something."
    )
    assert_departed(operator, task, origin, 3, why)
    assert live.status == TaskStatus.COMPLETED
    assert calls == ["look", "look", "send_note"]


def test_an_answer_that_does_not_do_any_more(
    operator: User, organization: Organization, agent: Agent, origin: AgentExecution
) -> None:
    make_override(organization, agent.name, response_format="json")

    task = played(replay(operator, origin))

    why = "it asks the model again, and no more answers are on record."
    assert_departed(operator, task, origin, 5, why)


def test_answers_that_are_left(
    operator: User, organization: Organization, agent: Agent, script: list[Respond], peer: ModelPeer
) -> None:
    override = make_override(organization, agent.name, response_format="json")

    def respond(body: Mapping[str, Any]) -> Answer:
        return Answer(text="{}" if "is not JSON" in str(body["messages"]) else "Hello.")

    script.append(respond)
    origin = ended(agent)

    same = played(replay(operator, origin))
    drop_override(override)
    task = played(replay(operator, origin))

    assert (same.status, same.result) == (TaskStatus.COMPLETED, "{}")
    why = "it ends there, and 1 of the answers on record are left."
    assert_departed(operator, task, origin, 1, why)


def test_a_run_that_failed_fails_again(
    operator: User, organization: Organization, agent: Agent, script: list[Respond], peer: ModelPeer
) -> None:
    make_override(organization, agent.name, response_format="json")
    script.append(lambda _body: Answer(text="Never."))
    origin = ended(agent)

    task = played(replay(operator, origin))

    assert (task.status, task.error_kind) == (TaskStatus.FAILED, "guardrail_output")
    assert shown(operator, task)["replay"]["same_end"] is True


def test_calls_that_the_run_never_came_to(
    operator: User, agent: Agent, peer: ModelPeer, calls: list[str]
) -> None:
    change(agent, max_tool_calls=1)
    origin = ended(agent)
    version = change(agent, max_tool_calls=9)

    same = played(replay(operator, origin))
    task = played(replay(operator, origin, version=version))

    assert same.error_kind == "guardrail_tool_calls"
    why = "it calls look, and nothing is on record of that call's outcome."
    assert_departed(operator, task, origin, 2, why)
    assert calls == []


def test_a_recording_that_was_cut_off(
    operator: User, agent: Agent, script: list[Respond], peer: ModelPeer
) -> None:
    answer = script[0]

    def respond(body: Mapping[str, Any]) -> Any:
        return Refusal(status=401) if "tool_call_id" in str(body["messages"]) else answer(body)

    script.append(respond)
    origin = ended(agent)

    task = played(replay(operator, origin))

    assert task.error_kind == "recording_ended"
    assert task.error == (
        f"The recording of execution {origin.pk} ends before step 4: the run itself ended there"
        " (provider_auth)."
    )
    assert shown(operator, task)["replay"]["same_end"] is None


def test_what_is_secret_by_now_is_not_shown_again(
    operator: User, organization: Organization, agent: Agent, script: list[Respond], peer: ModelPeer
) -> None:
    script.append(lambda _body: Answer(text="It is correct-horse-battery."))
    origin = ended(agent)
    make_secret(organization, name="phrase", value="correct-horse-battery")

    task = played(replay(operator, origin))

    assert task.result == "It is [redacted]."
    assert [step.text for step in last_run(task).steps.all()] == ["It is [redacted]."]


def test_a_disabled_agent_plays_nothing_on(
    operator: User,
    organization: Organization,
    agent: Agent,
    origin: AgentExecution,
) -> None:
    task = replay(operator, origin)
    claim = claim_one(task)
    override = make_override(organization, agent.name, enabled=False)

    waiting = finish(claim)
    drop_override(override)
    done = played(task, after=6)

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "agent_disabled")
    assert done.status == TaskStatus.COMPLETED
