"""How far a run goes that another run called, and what is said of it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organization
from agents.errors import RunWithoutLease
from agents.models import Agent, AgentExecution, ExecutionStep
from agents.operations import agent_calls, model_turns
from approvals.models import Approval
from cost.models import UsageRecord
from events import operations as events
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import requests
from tests.accounts.factories import make_user
from tests.approvals.factories import approve
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Hang, Refusal, Respond, Step
from tests.tasks import factories
from tests.tasks.called.scenes import (
    CALL,
    assert_paid_once,
    at_write,
    change,
    child,
    go_on,
    make_circle,
    respond,
    results,
    says,
    told,
)
from tests.tasks.scripted import Killed, claim_again, finish, kill_at, run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_failure_is_what_the_caller_reads(
    task: Task, peer: ModelPeer, script: list[Respond]
) -> None:
    script.append(lambda body: respond(body) if says(body, "the boss.") else Refusal(status=400))

    done = finish(factories.claim_one(task))

    assert (done.status, child().status) == (TaskStatus.COMPLETED, "error")
    assert f"The agent failed (execution {child().pk}). {child().error}" in told(peer)


def test_two_can_be_called_at_once(task: Task, script: list[Respond], calls: list[str]) -> None:
    def twice(body: Mapping[str, Any]) -> Step:
        if says(body, "the boss.") and not results(body):
            return Answer(tool_calls=(CALL, CALL))
        return respond(body)

    script.append(twice)
    done = finish(factories.claim_one(task))

    assert (done.status, calls.count("send_note")) == (TaskStatus.COMPLETED, 2)
    assert AgentExecution.objects.filter(depth=1, status="success").count() == 2
    assert_paid_once(task)


def test_the_callers_tokens_are_the_limit_of_both(task: Task, boss: Agent) -> None:
    change(boss, max_tokens_per_task=40)

    ended = finish(factories.claim_one(task))

    sentence = (
        "Boss and the agents that it called used 45 tokens, and max_tokens_per_task of Boss is 40."
        " Raise it or make the task smaller."
    )
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, "guardrail_tokens")
    assert (child().error, ended.error) == (sentence, sentence)
    assert_paid_once(task)


def test_tokens_of_earlier_attempts_count(task: Task, boss: Agent) -> None:
    change(boss, max_tokens_per_task=40)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 7, "after")
        with pytest.raises(Killed):
            run(factories.claim_one(task))

    ended = finish(claim_again(task))

    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, "guardrail_tokens")
    assert ended.cost_tokens == 45


def test_the_callers_time_ends_both(
    task: Task, boss: Agent, script: list[Respond], calls: list[str]
) -> None:
    change(boss, timeout_seconds=1)
    script.append(
        lambda body: Hang() if says(body, "the helper.") and results(body) else respond(body)
    )

    late = finish(factories.claim_one(task))
    cut_off = child()
    script.append(respond)
    done = go_on(task)

    assert (late.status, late.error_kind) == (TaskStatus.ASSIGNED, "timeout")
    assert (cut_off.status, cut_off.error_kind) == ("cancelled", "caller_ended")
    assert (done.status, calls) == (TaskStatus.COMPLETED, ["look", "send_note"])
    assert_paid_once(task)


def test_its_own_time_ends_only_the_called_agent(
    task: Task, helper: Agent, peer: ModelPeer, script: list[Respond]
) -> None:
    change(helper, timeout_seconds=1)
    script.append(lambda body: Hang() if says(body, "the helper.") else respond(body))

    done = finish(factories.claim_one(task))

    assert (done.status, child().status) == (TaskStatus.COMPLETED, "timeout")
    assert "did not end within its 1 s" in told(peer)


def test_agents_call_each_other_up_to_a_depth(
    organization: Organization, peer: ModelPeer, script: list[Respond]
) -> None:
    task = make_circle(organization, script)

    done = finish(factories.claim_one(task))

    depths = AgentExecution.objects.order_by("depth").values_list("depth", flat=True)
    refused = ExecutionStep.objects.get(status="failed")
    assert (done.status, [*depths]) == (TaskStatus.COMPLETED, [0, 1, 2, 3, 4, 5])
    assert refused.execution.depth == 5
    assert "Agents may call each other 5 deep" in refused.error
    assert_paid_once(task)


def test_a_task_that_is_cancelled_ends_all_runs_and_late_ones_write_nothing(
    organization: Organization, peer: ModelPeer, script: list[Respond]
) -> None:
    task = make_circle(organization, script)
    claim = factories.claim_one(task)

    with (
        at_write(model_turns, "record_turn", lambda: factories.act(requests.cancel_task, task), 3),
        pytest.raises(RunWithoutLease),
    ):
        run(claim)

    runs = AgentExecution.objects.order_by("depth")
    task.refresh_from_db()
    assert [(each.depth, each.status, each.error_kind) for each in runs] == [
        (0, "cancelled", "cancelled"),
        (1, "cancelled", "caller_ended"),
        (2, "cancelled", "caller_ended"),
    ]
    # The turn that came late is in the ledger, and nowhere else.
    assert UsageRecord.objects.count() == 3
    assert ExecutionStep.objects.filter(kind="model_turn").count() == 2
    assert [each.below_tokens for each in runs] == [15, 0, 0]
    assert task.cost_tokens == Agent.objects.get(name="Echo").total_tokens_used == 30


def test_a_run_that_was_closed_calls_nobody(task: Task) -> None:
    claim = factories.claim_one(task)

    with (
        at_write(agent_calls, "open_child", lambda: factories.act(requests.cancel_task, task)),
        pytest.raises(RunWithoutLease),
    ):
        run(claim)

    assert AgentExecution.objects.count() == 1


def test_who_watches_hears_only_the_tasks_own_agent_speak(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, str]] = []
    monkeypatch.setattr(
        events,
        "stream",
        lambda **sent: heard.append((sent["type"], sent["data"]["execution_id"])),
    )

    finish(factories.claim_one(task))

    boss_run, helper_run = map(
        str, AgentExecution.objects.order_by("depth").values_list("pk", flat=True)
    )
    assert {who for what, who in heard if what == "task.output"} == {boss_run}
    assert [who for what, who in heard if what == "task.tool_call"] == [
        boss_run,
        helper_run,
        helper_run,
    ]


def test_who_asks_before_writing_asks_before_calling(
    task: Task, organization: Organization, boss: Agent, calls: list[str]
) -> None:
    change(boss, autonomy_level="supervised")

    waiting = finish(factories.claim_one(task))
    asked = AgentExecution.objects.count()
    approve(Approval.objects.get(action="execute_tool:agent:Helper"), make_user(organization))
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 1, "after")  # allowed, and on record as begun
        with pytest.raises(Killed):
            run(factories.claim_one(task, now=clock.now() + timedelta(seconds=9)))
    done = finish(claim_again(task))

    assert (waiting.error_kind, asked) == ("approval_pending", 1)
    assert (done.status, calls) == (TaskStatus.COMPLETED, ["look", "send_note"])


def test_who_may_not_reach_out_has_nobody_else_do_it(
    task: Task, helper: Agent, boss: Agent, script: list[Respond], calls: list[str]
) -> None:
    def reach(body: Mapping[str, Any]) -> Step:
        if says(body, "the helper.") and not results(body):
            return Answer(tool_calls=(("reach", {}),))
        return Answer(text="Done.") if says(body, "the helper.") else respond(body)

    script.append(reach)
    change(helper, enabled_tools=["reach"])
    change(boss, risk_rules={"block_external_api": True})

    finish(factories.claim_one(task))

    refused = ExecutionStep.objects.get(tool="reach")
    assert calls == []
    assert refused.error == "This agent may not call other services, and the tool reach does."
