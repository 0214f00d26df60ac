"""An agent that calls another one: a run below its own, gone on with and paid once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.db.models import Sum

from accounts.models import Organization
from agents.models import Agent, AgentExecution, AgentOverride, ExecutionStep
from agents.operations import agent_calls, executions, model_turns, registry
from approvals.models import Approval
from breakers.choices import Forced
from breakers.models import CircuitBreaker
from breakers.operations import switches
from cost.models import BudgetWindow, Reservation, UsageRecord
from cost.operations import budgets
from kernel import clock
from kernel.actors import SYSTEM
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.selectors.explanations import explain_task
from tests.accounts.factories import make_user
from tests.agents.factories import (
    PERSON,
    change_override,
    drop_override,
    make_override,
)
from tests.approvals.factories import approve
from tests.breakers.factories import make_breaker, switch
from tests.peers.model_server import ModelPeer
from tests.tasks import factories
from tests.tasks.called.scenes import assert_paid_once, at_write, change, child, go_on, told
from tests.tasks.scripted import Killed, claim_again, finish, kill_at, run

pytestmark = pytest.mark.django_db(transaction=True)
# Turn and call of the boss; the helper's run, its turn, call, result, turn, call, result, answer,
# end; the result of the call, the boss's answer.
ALL_WRITES: Final = 13
# The helper's note is on record as begun, its result is not.
UNKNOWN: Final = {(8, "after"), (9, "before")}


def test_the_call_is_a_run_of_its_own(
    task: Task, helper: Agent, peer: ModelPeer, calls: list[str]
) -> None:
    done = finish(factories.claim_one(task))

    boss_run, helper_run = AgentExecution.objects.order_by("depth")
    offered = peer.requests[0].body["tools"][0]["function"]
    step = ExecutionStep.objects.get(tool="agent:Helper")
    assert (done.status, done.result) == (TaskStatus.COMPLETED, "All done.")
    assert (helper_run.source, helper_run.parent_id) == ("agent", boss_run.pk)
    assert (helper_run.depth, helper_run.task_id) == (1, task.pk)
    assert (helper_run.agent_id, helper_run.attempt_id) == (helper.pk, None)
    assert (helper_run.input, helper_run.output) == ("Send the note.", "The note is sent.")
    assert (step.result, step.execution_id) == ("The note is sent.", boss_run.pk)
    assert offered["name"] == "agent_Helper"
    assert "Sends notes." in offered["description"]
    assert calls == ["look", "send_note"]


def test_each_run_has_its_own_figures_and_all_is_paid_once(task: Task, helper: Agent) -> None:
    finish(factories.claim_one(task))

    boss_run, helper_run = AgentExecution.objects.order_by("depth")
    helper.refresh_from_db()
    assert (boss_run.tool_calls, boss_run.input_tokens, boss_run.output_tokens) == (1, 20, 10)
    assert (helper_run.tool_calls, helper_run.input_tokens) == (2, 30)
    assert (boss_run.below_tokens, helper_run.below_tokens) == (45, 0)
    assert (helper.total_tokens_used, helper.tasks_completed) == (45, 0)
    assert_paid_once(task)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, ALL_WRITES + 1))
def test_killed_between_any_two_writes_both_go_on(
    task: Task, calls: list[str], number: int, when: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, when)
        with pytest.raises(Killed):
            run(factories.claim_one(task))

    again = finish(claim_again(task))
    if (number, when) in UNKNOWN:
        assert (again.status, again.error_kind) == (TaskStatus.REVIEW, "tool_outcome_unknown")
        assert "send_note" in again.error
        factories.change(task, status="in_progress")
        again = go_on(task)

    assert (again.status, again.result) == (TaskStatus.COMPLETED, "All done.")
    assert calls.count("send_note") == int((number, when) != (8, "after"))
    assert not AgentExecution.objects.filter(status="running").exists()
    assert_paid_once(task)


def test_a_version_is_kept_for_the_whole_call(task: Task, helper: Agent) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 6, "after")
        with pytest.raises(Killed):
            run(factories.claim_one(task))

    change(helper, system_prompt="You are the new helper.")
    finish(claim_again(task))

    runs = AgentExecution.objects.filter(agent=helper).order_by("created_at")
    assert [each.version.number for each in runs] == [1, 1]
    assert runs[1].resumed_from_id == runs[0].pk


def test_an_approval_inside_suspends_both(
    task: Task, organization: Organization, helper: Agent, calls: list[str]
) -> None:
    change(helper, autonomy_level="supervised")

    waiting = finish(factories.claim_one(task))
    approval = Approval.objects.get()
    held = child()
    approve(approval, make_user(organization))
    done = go_on(task)

    assert (waiting.status, waiting.error_kind) == (TaskStatus.REVIEW, "approval_pending")
    assert (approval.agent_id, approval.execution_id) == (helper.pk, held.pk)
    assert (held.status, held.error_kind) == ("error", "approval_pending")
    assert (done.status, calls) == (TaskStatus.COMPLETED, ["look", "send_note"])
    assert_paid_once(task)


def test_a_breaker_inside_puts_both_off(task: Task, organization: Organization) -> None:
    make_breaker(organization)

    def open_it() -> None:
        switch(organization, switches.force, state=Forced.OPEN)

    with at_write(agent_calls, "open_child", open_it):
        waiting = finish(factories.claim_one(task))
    (reason,) = explain_task(task=waiting, now=clock.now()).reasons

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "breaker_open")
    assert (waiting.retry_count, child().error_kind) == (0, "breaker_open")
    assert reason.id == CircuitBreaker.objects.get().pk


def test_budgets_are_shared(task: Task, organization: Organization, helper: Agent) -> None:
    change(helper, daily_budget_usd=Decimal("0.0001"))

    waiting = finish(factories.claim_one(task))
    change(helper, daily_budget_usd=Decimal(0))

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "budget_exhausted")
    assert child().error_kind == "budget_exhausted"


def test_the_tasks_budget_counts_what_the_called_agent_spends(
    task: Task, organization: Organization
) -> None:
    budget = budgets.create_budget(
        organization_id=organization.pk,
        limit_usd=Decimal(5),
        is_hard=True,
        scope="task",
        period="total",
        actor=SYSTEM,
        now=clock.now(),
    )

    finish(factories.claim_one(task))

    spent = UsageRecord.objects.aggregate(usd=Sum("cost_usd"))["usd"]
    assert BudgetWindow.objects.get(budget_id=budget.pk).spent_usd == spent > 0
    assert Reservation.objects.count() == 0


def test_one_that_is_disabled_while_it_works_puts_both_off(
    task: Task, organization: Organization
) -> None:
    override = make_override(organization, "Helper", max_tokens=9)

    with at_write(
        executions, "record_tool_call", lambda: change_override(override, enabled=False), 2
    ):
        waiting = finish(factories.claim_one(task))
    put_off = waiting.available_at - clock.now()
    (held,) = explain_task(task=waiting, now=clock.now()).reasons
    change_override(AgentOverride.objects.get(), enabled=True)
    (free,) = explain_task(task=waiting, now=clock.now()).reasons
    done = go_on(task)

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "agent_disabled")
    assert put_off > timedelta(seconds=30)
    assert (held.code, held.kind, held.id) == ("agent_disabled", "override", override.pk)
    assert held.message.startswith("Agent Helper is disabled by an override.")
    assert (free.code, free.id) == ("waiting_for_retry", waiting.resumes_execution_id)
    assert done.status == TaskStatus.COMPLETED


@pytest.mark.parametrize("name", ["Helper", "Other"])
def test_who_lets_an_agent_work_again_wakes_what_calls_it(
    task: Task, organization: Organization, name: str
) -> None:
    override = make_override(organization, "Helper", max_tokens=9)
    make_override(organization, "Other", enabled=False)
    with at_write(
        executions, "record_tool_call", lambda: change_override(override, enabled=False), 2
    ):
        waiting = finish(factories.claim_one(task))

    Task.objects.update(error="It waits for somebody, in other words.")
    (held,) = explain_task(task=Task.objects.get(), now=clock.now()).reasons
    drop_override(AgentOverride.objects.get(agent_name=name))
    task.refresh_from_db()

    assert (held.kind, held.id) == ("override", override.pk)
    assert (task.available_at < waiting.available_at) == (name == "Helper")


def test_one_that_was_changed_while_it_waited_is_woken_by_any(
    task: Task, organization: Organization
) -> None:
    other = make_override(organization, "Other", enabled=False)
    override = make_override(organization, "Helper", max_tokens=9)
    with at_write(
        executions, "record_tool_call", lambda: change_override(override, enabled=False), 2
    ):
        waiting = finish(factories.claim_one(task))

    # As its new instructions leave it: what it waited for is that of another question.
    Task.objects.update(resumes_execution_id=None)
    (held,) = explain_task(task=Task.objects.get(), now=clock.now()).reasons
    drop_override(other)
    task.refresh_from_db()

    assert (held.code, held.kind, held.message) == ("agent_disabled", "task", waiting.error)
    assert task.available_at < waiting.available_at


@pytest.mark.parametrize("way", ["disabled", "stopped", "deleted", "deleted before"])
def test_one_that_cannot_work_is_refused_in_a_sentence(
    task: Task, helper: Agent, peer: ModelPeer, way: str
) -> None:
    scope: dict[str, Any] = {
        "organization_id": task.organization_id,
        "actor": PERSON,
        "now": clock.now(),
    }

    def delete() -> None:
        registry.delete_agent(agent_id=helper.pk, **scope)

    if way == "disabled":
        make_override(helper.organization, "Helper", enabled=False)
    elif way == "stopped":
        registry.stop_agent(agent_id=helper.pk, **scope)
    elif way == "deleted before":
        delete()
    with at_write(model_turns, "record_turn", delete if way == "deleted" else lambda: None):
        done = finish(factories.claim_one(task))

    sentence = {
        "disabled": "Agent Helper is disabled by an override. Have an administrator enable it.",
        "stopped": "The agent Helper is stopped. Go on without it.",
        "deleted": "The agent was deleted. Go on without it.",
        "deleted before": "There is no agent called Helper any more. Go on without it.",
    }[way]
    assert done.status == TaskStatus.COMPLETED
    assert sentence in told(peer)
    assert AgentExecution.objects.count() == 1
