"""A run that is played again: the same end, nothing asked, nothing paid."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from agents.choices import ExecutionSource, ExecutionStatus
from agents.models import Agent, AgentExecution, ExecutionReplay, ExecutionStep
from agents.operations import recordings
from approvals.models import Approval
from audit.models import AuditEvent
from breakers.choices import Forced
from breakers.operations import switches
from cost.models import Budget, Reservation, UsageRecord
from cost.operations import budgets
from dead_letters.models import DeadLetter
from kernel import clock
from kernel.actors import SYSTEM
from limits.operations import standings
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.breakers.factories import switch
from tests.clients import ApiClient
from tests.limits.factories import make_limit
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Refusal, Respond
from tests.tasks.factories import claim_one, make_task
from tests.tasks.replays.scenes import change, last_run, played, replay, shown
from tests.tasks.scripted import Killed, claim_again, finish, kill_at, run

pytestmark = pytest.mark.django_db(transaction=True)
STEP: Any = ("ordinal", "kind", "text", "tool", "call_id", "arguments", "result", "error", "model")
# Turn, two calls and their results, answer.
ALL_WRITES = 6


def steps_of(execution: AgentExecution) -> list[Any]:
    return list(execution.steps.order_by("ordinal").values_list(*STEP))


def spend_all(agent: Agent) -> Budget:
    """A hard budget that has no room for any call."""
    return budgets.create_budget(
        organization_id=agent.organization_id,
        scope="organization",
        period="day",
        limit_usd=Decimal("0.00000001"),
        is_hard=True,
        actor=SYSTEM,
        now=clock.now(),
    )


def paid() -> tuple[int, int]:
    """Rows of the ledger, and of what is held for calls."""
    return UsageRecord.objects.count(), Reservation.objects.count()


def test_it_comes_to_the_same_end_and_asks_nobody(
    operator: User, origin: AgentExecution, peer: ModelPeer, calls: list[str]
) -> None:
    before, asked = paid(), len(peer.requests)

    task = played(replay(operator, origin))

    run = last_run(task)
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "The note is sent.")
    assert steps_of(run) == steps_of(origin)
    assert (run.source, run.input) == (ExecutionSource.REPLAY, "Write\n\nOnce.")
    assert (run.version, run.user_id) == (origin.version, operator.pk)
    assert (len(peer.requests), calls) == (asked, ["look", "send_note"])
    assert paid() == before
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (0, 0, Decimal(0))
    assert (task.cost_tokens, task.cost_usd) == (0, Decimal(0))
    assert shown(operator, task)["replay"] == {
        "of": str(origin.pk),
        "tools": "recorded",
        "same_end": True,
    }
    audited = AuditEvent.objects.get(action="execution.replay")
    assert audited.resource_id == str(origin.pk)
    assert audited.details == {"version": None, "tools": "recorded", "task_id": str(task.pk)}


def test_it_needs_no_key_no_budget_no_turn_and_no_provider(
    monkeypatch: pytest.MonkeyPatch, operator: User, agent: Agent, origin: AgentExecution
) -> None:
    monkeypatch.setattr("agents.operations.run_agent.model_registry", None)
    monkeypatch.setattr("agents.operations.run_agent._reach", None)
    spend_all(agent)
    switch(agent.organization, switches.force, state=Forced.OPEN)
    rule = make_limit(agent.organization, scope="provider", name="openai", requests_per_minute=1)

    task = played(replay(operator, origin))

    (used,) = standings.show(rules=[rule], now=clock.now())
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "The note is sent.")
    assert used.requests == 0


def test_it_counts_for_nothing(
    admin: User, agent: Agent, origin: AgentExecution, script: list[Respond]
) -> None:
    agent.refresh_from_db()
    before = (agent.tasks_completed, agent.total_tokens_used, agent.total_duration_ms)
    version = change(agent, max_tool_calls=1)

    played(replay(admin, origin))
    failed = played(replay(admin, origin, version=version))

    agent.refresh_from_db()
    assert failed.status == TaskStatus.FAILED
    assert (agent.tasks_completed, agent.total_tokens_used, agent.total_duration_ms) == before
    assert agent.tasks_failed == 0
    assert not DeadLetter.objects.exists()
    listed = ApiClient(admin).get("/v1/agentexecutions").json()["sys_agentExecutions"]
    assert [run["id"] for run in listed] == [str(origin.pk)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 3, ALL_WRITES])
def test_killed_between_any_two_writes_it_goes_on(
    operator: User, origin: AgentExecution, calls: list[str], number: int, when: str
) -> None:
    task = replay(operator, origin)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, when)
        with pytest.raises(Killed):
            run(claim_one(task))

    done = finish(claim_again(task))

    assert (done.status, done.result) == (TaskStatus.COMPLETED, "The note is sent.")
    assert calls == ["look", "send_note"]
    turns = ExecutionStep.objects.filter(execution__task_id=task.pk, kind="model_turn")
    assert turns.count() == 2
    assert shown(operator, task)["replay"]["same_end"] is True


def test_the_answers_of_all_attempts_are_played(
    operator: User, agent: Agent, peer: ModelPeer, script: list[Respond]
) -> None:
    answer = script[0]
    script.append(
        lambda body: Refusal(status=503) if "tool" in str(body["messages"]) else answer(body)
    )
    task = make_task(agent.organization, agent=agent)
    finish(claim_one(task))
    script.append(answer)
    finish(claim_one(task, now=clock.now() + timedelta(hours=1)))

    done = played(replay(operator, last_run(task)))

    assert (done.status, done.result) == (TaskStatus.COMPLETED, "The note is sent.")
    assert last_run(done).steps.count() == 4


def test_large_content_is_read_when_it_is_needed(operator: User, origin: AgentExecution) -> None:
    with CaptureQueriesContext(connection) as asked:
        task = replay(operator, origin)
    selected = [query["sql"].split(" FROM ")[0] for query in asked.captured_queries]
    played(task)
    recording = recordings.read(execution=last_run(task))

    assert not [columns for columns in selected if '"agents_executionstep"."result"' in columns]
    assert any('"agents_executionstep"."ordinal"' in columns for columns in selected)
    left = [step.get_deferred_fields() for step in recording.calls.values()]
    assert left == [{"message", "result"}] * 2
    assert [bool(step.message) for step in recording.answers] == [True, True]


def test_a_replay_is_replayed_from_its_origin_and_can_be_forked(
    operator: User, origin: AgentExecution, peer: ModelPeer, calls: list[str]
) -> None:
    first = played(replay(operator, origin))

    again = replay(operator, last_run(first))
    fork = ApiClient(operator).post(f"/api/v1/executions/{last_run(first).pk}/fork", {"step": 3})
    forked = played(Task.objects.get(pk=fork.json()["task_id"]))

    assert ExecutionReplay.objects.get(task_id=again.pk).origin == origin
    assert (forked.source, forked.result) == (ExecutionSource.QUEUE, "The note is sent.")
    assert len(peer.requests) == 3
    assert calls == ["look", "send_note"]


def test_called_agents_and_failed_calls_are_as_they_were(
    operator: User, agent: Agent, script: list[Respond], peer: ModelPeer
) -> None:
    def delegate(body: Any) -> Answer:
        told = json.dumps(body["messages"])
        if "Ask yourself." in told and '"tool"' not in told:
            wrong = ("send_note", {"text": 1})
            return Answer(
                tool_calls=((f"agent_{agent.name.replace(' ', '_')}", {"prompt": "Well?"}), wrong)
            )
        return Answer(text="I did." if '"tool"' in told else "Yes.")

    script.append(delegate)
    change(agent, enabled_tools=["look", "send_note", f"agent:{agent.name}"])
    task = make_task(agent.organization, agent=agent, title="Ask yourself.")
    finish(claim_one(task))
    origin = AgentExecution.objects.get(task_id=task.pk, parent=None)
    asked = len(peer.requests)

    for tools in ("recorded", "live"):
        done = played(replay(operator, origin, tools=tools))

        assert (done.status, done.result) == (TaskStatus.COMPLETED, "I did.")
        assert AgentExecution.objects.filter(task_id=done.pk).count() == 1
        assert sorted(steps_of(last_run(done))[1:3], key=str) == sorted(
            steps_of(origin)[1:3], key=str
        )
    assert len(peer.requests) == asked


def test_live_tools_are_called_and_asked_for(
    operator: User, admin: User, agent: Agent, origin: AgentExecution, calls: list[str]
) -> None:
    version = change(agent, autonomy_level="supervised")
    task = replay(operator, origin, tools="live", version=version)

    waiting = played(task)
    approval = Approval.objects.get()
    answer = ApiClient(admin).post(f"/api/v1/approvals/{approval.pk}/approve", {})
    done = played(task, after=1)

    assert answer.status_code == 200, answer.content
    assert waiting.status == TaskStatus.REVIEW
    assert (done.status, done.result) == (TaskStatus.COMPLETED, "The note is sent.")
    assert calls == ["look", "send_note", "look", "send_note"]
    assert shown(operator, task)["replay"] == {
        "of": str(origin.pk),
        "tools": "live",
        "same_end": True,
    }
    results = ExecutionStep.objects.filter(execution__task_id=task.pk, kind="tool_call")
    numbers = results.order_by("pk").values_list("result__call", flat=True)
    assert list(numbers) == [3, 4]


def test_an_old_version_gives_no_live_call_back_what_was_withdrawn(
    operator: User, agent: Agent, origin: AgentExecution, calls: list[str]
) -> None:
    change(agent, autonomy_level="supervised")

    live = played(replay(operator, origin, tools="live", version=1))
    recorded = played(replay(operator, origin, version=1))

    assert (live.status, recorded.status) == (TaskStatus.REVIEW, TaskStatus.COMPLETED)
    assert calls == ["look", "send_note", "look"]


def test_recorded_results_need_no_approval(
    operator: User, agent: Agent, origin: AgentExecution, calls: list[str]
) -> None:
    version = change(agent, autonomy_level="supervised")

    done = played(replay(operator, origin, version=version))

    assert (done.status, Approval.objects.count()) == (TaskStatus.COMPLETED, 0)
    assert calls == ["look", "send_note"]


def test_a_live_call_of_unknown_outcome_waits_for_a_person(
    operator: User, origin: AgentExecution, calls: list[str]
) -> None:
    task = replay(operator, origin, tools="live")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 3, "after")
        with pytest.raises(Killed):
            run(claim_one(task))

    done = finish(claim_again(task))

    assert (done.status, done.error_kind) == (TaskStatus.REVIEW, "tool_outcome_unknown")
    assert shown(operator, task)["replay"]["same_end"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [({"version": 7}, "version"), ({"tools": "some"}, "tools"), ({"step": 1}, "step")],
)
def test_what_cannot_be_asked_for_makes_no_task(
    operator: User, origin: AgentExecution, body: dict[str, Any], field: str
) -> None:
    answer = ApiClient(operator).post(f"/api/v1/executions/{origin.pk}/replay", body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert Task.objects.count() == 1


def test_what_has_nothing_to_play_is_refused(
    operator: User, agent: Agent, origin: AgentExecution, script: list[Respond]
) -> None:
    script.append(lambda _body: Answer(text="Hello."))
    talk = make_task(agent.organization, agent=agent)
    finish(claim_one(talk))
    began = claim_one(make_task(agent.organization, agent=agent)).execution
    copied = ApiClient(operator).post(f"/api/v1/executions/{origin.pk}/fork", {"step": 1}).json()
    log = AgentExecution.objects.get(task_id=copied["task_id"])

    def refused(execution: AgentExecution, **body: Any) -> tuple[int, str]:
        answer = ApiClient(operator).post(f"/api/v1/executions/{execution.pk}/replay", body)
        return answer.status_code, answer.json()["code"]

    assert refused(last_run(talk), tools="live") == (422, "validation.invalid")
    assert refused(began) == (409, "execution.is_running")
    assert refused(log) == (409, "execution.nothing_recorded")
    AgentExecution.objects.filter(pk=began.pk).update(status=ExecutionStatus.ERROR)
    assert refused(began) == (409, "execution.nothing_recorded")


def test_the_console_replays_and_leads_to_the_task(
    client: Client, operator: User, origin: AgentExecution
) -> None:
    client.force_login(operator)
    page = reverse("admin:agents_agentexecution_replay_execution", args=[origin.pk])
    asked = {"_form_submitted": "on", "tools": "recorded"}

    refused = client.post(page, {**asked, "version": "9"})
    answer = client.post(page, asked)
    task = played(Task.objects.get(metadata={"replay_of": str(origin.pk)}))
    change_page = reverse("admin:agents_agentexecution_change", args=[last_run(task).pk])
    shown_page = client.get(change_page).content.decode()

    assert (
        "Select a valid choice. 9 is not one of the available choices." in refused.content.decode()
    )
    assert answer["Location"] == reverse("admin:tasks_task_change", args=[task.pk])
    assert reverse("admin:agents_agentexecution_change", args=[origin.pk]) in shown_page
    assert "It ended as that one did." in shown_page
