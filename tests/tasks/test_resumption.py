"""A run that was cut off at any point goes on from there, and no tool call is made twice."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from accounts.models import Organization
from agents.models import Agent, AgentExecution
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.operations import endings, sweeps
from tests.agents.factories import failed, make_agent, noting, registered
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Step
from tests.tasks import factories
from tests.tasks.scripted import Killed, answering, claim_again, kill_at, run

pytestmark = pytest.mark.django_db(transaction=True)
# One run: turn, call, result, turn, call, result, answer.
ALL_WRITES: Final = 7
# Between the start of the call that must not be repeated and its result on record.
UNKNOWN: Final = {(2, "after"), (3, "before")}


def respond(body: Mapping[str, Any]) -> Step:
    """Send the note, look at it, then answer: whatever the conversation has come to."""
    done = sum(message["role"] == "tool" for message in body["messages"])
    return (
        Answer(tool_calls=(("send_note", {"text": "hello"}),)),
        Answer(tool_calls=(("read_note", {}),)),
        Answer(text="The note is there."),
    )[done]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    """The model, and nothing but it behind the provider `openai`."""
    with answering(monkeypatch, respond) as model:
        yield model


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the tools in the order in which they were really called."""
    made: list[str] = []
    with registered(noting(made, "send_note", "write"), noting(made, "read_note", "read")):
        yield made


@pytest.fixture
def agent(organization: Organization, calls: list[str]) -> Agent:
    """An agent with both tools."""
    tools = ["send_note", "read_note"]
    return make_agent(organization, llm_provider="openai", enabled_tools=tools)


@pytest.fixture
def task(organization: Organization, agent: Agent) -> Task:
    """Its task."""
    return factories.make_task(organization, agent=agent)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, ALL_WRITES + 1))
def test_killed_between_any_two_writes_the_run_goes_on(
    task: Task,
    peer: ModelPeer,
    calls: list[str],
    number: int,
    when: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, when)
        with pytest.raises(Killed):
            run(factories.claim_one(task))

    claim = claim_again(task)
    endings.settle_attempt(claim=claim, result=run(claim), now=clock.now())

    task.refresh_from_db()
    if (number, when) in UNKNOWN:
        assert (task.status, task.error_kind) == (TaskStatus.REVIEW, "tool_outcome_unknown")
        assert "send_note" in task.error
        assert calls.count("send_note") <= 1
        return
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "The note is there.")
    assert calls.count("send_note") == 1
    assert AgentExecution.objects.filter(task_id=task.pk).count() == 2


def test_a_run_that_was_killed_at_its_very_end_asks_the_model_nothing_again(
    task: Task, peer: ModelPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, ALL_WRITES, "after")
        with pytest.raises(Killed):
            run(factories.claim_one(task))
    asked = len(peer.requests)

    result = run(claim_again(task))

    assert result.output == "The note is there."
    assert len(peer.requests) == asked


def stop_in_review(task: Task) -> Task:
    """The task after its worker died in the middle of the call that must not be repeated."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 3, "before")
        with pytest.raises(Killed):
            run(factories.claim_one(task))
    claim = claim_again(task)
    return endings.settle_attempt(claim=claim, result=run(claim), now=clock.now())


def test_a_person_lets_the_run_go_on_and_the_model_is_told(
    task: Task, peer: ModelPeer, calls: list[str]
) -> None:
    stop_in_review(task)

    waiting = factories.change(task, status="in_progress")
    claim = factories.claim_one(task, now=clock.now() + timedelta(seconds=1))
    done = endings.settle_attempt(claim=claim, result=run(claim), now=clock.now())

    assert waiting.status == TaskStatus.ASSIGNED
    assert (done.status, done.result) == (TaskStatus.COMPLETED, "The note is there.")
    assert calls == ["send_note", "read_note"]
    assert "unknown" in json.dumps(peer.requests[-1].body["messages"])


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_person_may_end_it_instead(task: Task, peer: ModelPeer, status: str) -> None:
    stop_in_review(task)

    ended = factories.change(task, status=status)

    assert ended.status == status
    assert not TaskAttempt.objects.filter(task=task, outcome="running").exists()


def test_a_retry_after_a_failure_goes_on_too(
    task: Task, peer: ModelPeer, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = factories.claim_one(task)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 5, "before")
        with pytest.raises(Killed):
            run(claim)
    endings.settle_attempt(claim=claim, result=failed(), now=clock.now())

    again = factories.claim_one(task, now=clock.now() + timedelta(minutes=10))
    done = endings.settle_attempt(claim=again, result=run(again), now=clock.now())

    assert done.status == TaskStatus.COMPLETED
    assert calls.count("send_note") == 1


def test_a_person_who_retries_gets_a_fresh_run(
    task: Task, peer: ModelPeer, calls: list[str]
) -> None:
    claim = factories.claim_one(task)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 4, "before")
        with pytest.raises(Killed):
            run(claim)
    endings.settle_attempt(claim=claim, result=failed(retryable=False), now=clock.now())

    factories.change(task, status="pending")
    again = factories.claim_one(task, now=clock.now() + timedelta(seconds=1))
    run(again)

    assert again.execution.resumed_from_id is None
    assert calls == ["send_note", "send_note", "read_note"]


def test_another_question_is_not_answered_with_the_old_conversation(
    task: Task, peer: ModelPeer
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 4, "before")
        with pytest.raises(Killed):
            run(factories.claim_one(task))
    later = clock.now() + 2 * factories.LEASE
    sweeps.sweep_tasks(now=later)

    factories.change(task, title="Something else", now=later)

    assert factories.claim_one(task, now=later).execution.resumed_from_id is None
