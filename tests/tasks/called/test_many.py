"""How many runs of called agents one task and one worker have."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.conf import LazySettings

from accounts.models import Organization
from agents.models import Agent, AgentExecution, ExecutionStep
from agents.operations import agent_calls
from agents.operations.agent_calls import AgentCall
from agents.runtime.tools import ToolFailed
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings, redrives
from tasks.operations.claims import Claim
from tests.agents.factories import failed
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Respond, Step
from tests.tasks import factories
from tests.tasks.called.scenes import assert_paid_once, make_circle, results
from tests.tasks.scripted import finish
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
TWICE = tuple(("agent_Echo", {"prompt": f"Again, {number}."}) for number in range(2))


@pytest.fixture
def crowd(organization: Organization, peer: ModelPeer, script: list[Respond]) -> Task:
    """A task of an agent that calls itself twice at once, whatever it is asked."""
    task = make_circle(organization, script)

    def twice(body: Mapping[str, Any]) -> Step:
        return Answer(text="Done.") if results(body) else Answer(tool_calls=TWICE)

    script.append(twice)
    return task


def test_one_place_at_each_depth_is_enough_for_all(
    crowd: Task, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HUB_WORKER_RUNS = 1
    monkeypatch.setattr(agent_calls, "_places", {})
    monkeypatch.setattr(agent_calls, "MOST_CALLS", 8)

    done = finish(factories.claim_one(crowd))

    runs = list(AgentExecution.objects.filter(depth__gt=0).order_by("created_at"))
    assert (done.status, len(runs)) == (TaskStatus.COMPLETED, 8)
    assert max(run.depth for run in runs) == 5
    for depth in range(1, 6):
        row = [run for run in runs if run.depth == depth]
        for before, after in pairwise(row):
            assert before.finished_at is not None
            assert before.finished_at <= after.created_at
    refused = ExecutionStep.objects.filter(error=agent_calls.TOO_MANY)
    assert refused.exists()
    assert_paid_once(crowd)


def call(claim: Claim, helper: Agent, number: int) -> Any:
    asked = AgentCall(
        caller=claim.execution,
        call_id=f"call-{number}",
        agent_id=helper.pk,
        prompt="Send the note.",
    )
    return agent_calls.open_child(call=asked, now=clock.now())


def test_calls_at_once_count_each_other(
    task: Task, helper: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_calls, "MOST_CALLS", 3)
    claim = factories.claim_one(task)

    outcomes = race(*[lambda number=number: call(claim, helper, number) for number in range(6)])

    assert sum(isinstance(found, AgentExecution) for found in outcomes) == 3
    assert [str(found) for found in outcomes if isinstance(found, ToolFailed)] == [
        agent_calls.TOO_MANY
    ] * 3
    assert AgentExecution.objects.filter(depth=1).count() == 3


def test_what_begins_anew_may_call_anew(
    task: Task, helper: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_calls, "MOST_CALLS", 1)
    claim = factories.claim_one(task)
    first = call(claim, helper, 1)
    endings.settle_attempt(claim=claim, result=failed(retryable=True), now=clock.now())

    again = factories.claim_one(task, now=clock.now() + timedelta(minutes=9))
    gone_on = call(again, helper, 1)
    with pytest.raises(ToolFailed):
        call(again, helper, 2)
    endings.settle_attempt(claim=again, result=failed(retryable=False), now=clock.now())
    factories.act(redrives.redrive_task, task)
    anew = call(factories.claim_one(task), helper, 1)

    assert gone_on.resumed_from_id == first.pk
    assert (anew.resumed_from_id, anew.call_key == first.call_key) == (None, False)
