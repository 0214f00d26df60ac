"""A task that goes on from a step of a run that is over."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from agents.choices import ExecutionStatus
from agents.models import Agent, AgentExecution, ExecutionStep
from agents.operations import registry
from agents.runtime.tools import Tool
from audit.models import AuditEvent
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.agents.factories import PERSON, make_agent, registered
from tests.clients import ApiClient
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Refusal, Step
from tests.tasks.factories import change, claim_one, make_task
from tests.tasks.scripted import answering, finish

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]


def respond(body: Mapping[str, Any]) -> Step:
    """Send two notes, then answer."""
    done = sum(message["role"] == "tool" for message in body["messages"])
    notes = (("send_note", {"text": "one"}), ("send_note", {"text": "two"}))
    return Answer(text="Both are sent.") if done else Answer(tool_calls=notes)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    """The model, and nothing but it behind the provider `openai`."""
    with answering(monkeypatch, respond) as model:
        yield model


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """What was really sent."""
    sent: list[str] = []

    def call(_context: Any, arguments: Mapping[str, Any]) -> Any:
        sent.append(arguments["text"])
        return {"sent": arguments["text"]}

    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    with registered(Tool(name="send_note", description="Sends.", parameters=schema, call=call)):
        yield sent


@pytest.fixture
def agent(organization: Organization, notes: list[str]) -> Agent:
    """Who sends notes."""
    return make_agent(
        organization,
        system_prompt="Be brief.",
        llm_provider="openai",
        llm_model="gpt-4o",
        enabled_tools=["send_note"],
    )


@pytest.fixture
def origin(organization: Organization, agent: Agent, peer: ModelPeer) -> AgentExecution:
    """A run of a turn, two calls and an answer."""
    task = make_task(organization, agent=agent, title="Write", description="Twice.")
    finish(claim_one(task))
    return AgentExecution.objects.get(task_id=task.pk)


def fork(api: Api, user: User, origin: AgentExecution, **body: Any) -> Task:
    """The task of a fork that was accepted."""
    answer = api(user).post(f"/api/v1/executions/{origin.pk}/fork", body)
    assert answer.status_code == 201, answer.content
    begun = answer.json()
    assert begun["task_link"] == f"/api/v1/tasks/{begun['task_id']}"
    return Task.objects.get(pk=begun["task_id"])


def new_version(agent: Agent, prompt: str) -> None:
    """What runs of `agent` go by from now on."""
    registry.update_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values={"system_prompt": prompt},
        actor=PERSON,
        now=clock.now(),
    )


def test_nothing_up_to_the_step_is_done_again(
    api: Api, operator: User, origin: AgentExecution, peer: ModelPeer, notes: list[str]
) -> None:
    task = fork(api, operator, origin, step=3, instructions="Say it in German.")

    done = finish(claim_one(task))

    assert (done.status, done.result) == (TaskStatus.COMPLETED, "Both are sent.")
    assert notes == ["one", "two"]
    asked = peer.requests[-1].body["messages"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "tool", "tool"]
    assert asked[1]["content"] == "Write\n\nTwice.\n\nSay it in German."
    log, run = AgentExecution.objects.filter(task_id=task.pk).order_by("pk")
    assert run.resumed_from == log
    assert (log.status, log.error_kind) == (ExecutionStatus.CANCELLED, "forked")
    assert log.cost_usd == 0
    assert list(log.steps.order_by("ordinal").values_list("ordinal", "tool", "input_tokens")) == [
        (1, "", 0),
        (2, "send_note", 0),
        (3, "send_note", 0),
    ]
    assert (run.steps.count(), run.input_tokens) == (1, 10)
    assert (task.user_id, task.metadata) == (operator.pk, {"forked_from": str(origin.pk)})
    audited = AuditEvent.objects.get(action="execution.fork")
    assert audited.resource_id == str(origin.pk)
    assert audited.details == {"step": 3, "version": None, "task_id": str(task.pk)}


def test_calls_after_the_step_are_made_anew(
    api: Api, operator: User, origin: AgentExecution, notes: list[str]
) -> None:
    task = fork(api, operator, origin, step=2)

    finish(claim_one(task))

    assert notes == ["one", "two", "two"]


def test_it_runs_with_the_version_that_was_asked_for(
    api: Api, operator: User, origin: AgentExecution, peer: ModelPeer
) -> None:
    new_version(origin.agent, "Be long.")

    finish(claim_one(fork(api, operator, origin, step=3, version=1)))
    finish(claim_one(fork(api, operator, origin, step=3)))

    prompts = [request.body["messages"][0]["content"] for request in peer.requests[-2:]]
    assert prompts == ["Be brief.", "Be long."]


def test_an_old_version_gives_back_no_tool_that_was_withdrawn(
    api: Api, operator: User, origin: AgentExecution, notes: list[str]
) -> None:
    registry.update_agent(
        organization_id=origin.organization_id,
        agent_id=origin.agent_id,
        values={"enabled_tools": []},
        actor=PERSON,
        now=clock.now(),
    )

    finish(claim_one(fork(api, operator, origin, step=2, version=1)))

    assert notes == ["one", "two"]


def test_a_second_attempt_keeps_steps_and_version(
    api: Api,
    operator: User,
    origin: AgentExecution,
    monkeypatch: pytest.MonkeyPatch,
    notes: list[str],
) -> None:
    new_version(origin.agent, "Be long.")
    with answering(monkeypatch, lambda _body: Refusal(status=503)):
        task = finish(claim_one(fork(api, operator, origin, step=3, version=1)))
    assert task.status == TaskStatus.ASSIGNED

    with answering(monkeypatch, lambda _body: Answer(text="At last.")) as model:
        done = finish(claim_one(task, now=clock.now() + timedelta(hours=1)))

    assert (done.status, done.result) == (TaskStatus.COMPLETED, "At last.")
    assert [message["role"] for message in model.requests[-1].body["messages"]][-2:] == ["tool"] * 2
    assert model.requests[-1].body["messages"][0]["content"] == "Be brief."
    assert notes == ["one", "two"]


def test_another_agent_takes_its_own_version_and_begins_anew(
    api: Api, operator: User, organization: Organization, origin: AgentExecution
) -> None:
    other = make_agent(organization)
    task = fork(api, operator, origin, step=3, version=1)

    claim = claim_one(change(task, agent_id=other.pk))

    assert claim.version == other.current_version
    assert claim.execution.resumed_from is None


def test_a_fork_of_a_fork_has_the_steps_of_both(
    api: Api, operator: User, origin: AgentExecution, peer: ModelPeer, notes: list[str]
) -> None:
    first = fork(api, operator, origin, step=1)
    finish(claim_one(first))
    middle = AgentExecution.objects.filter(task_id=first.pk).latest("pk")

    finish(claim_one(fork(api, operator, middle, step=2)))

    assert notes == ["one", "two", "one", "two"]
    assert [message["role"] for message in peer.requests[-1].body["messages"]] == [
        *("system", "user", "assistant", "tool", "tool"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"step": 9}, "step"),
        ({"step": 4}, "step"),
        ({"step": 1, "version": 7}, "version"),
        ({"step": 0}, "step"),
        ({}, "step"),
        ({"step": 1, "agent": "x"}, "agent"),
    ],
)
def test_what_cannot_be_forked_makes_no_task(
    api: Api, operator: User, origin: AgentExecution, body: dict[str, Any], field: str
) -> None:
    answer = api(operator).post(f"/api/v1/executions/{origin.pk}/fork", body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert Task.objects.count() == 1


def test_a_step_behind_a_call_of_unknown_outcome_is_refused(
    api: Api, operator: User, origin: AgentExecution
) -> None:
    ExecutionStep.objects.filter(execution=origin, ordinal=2).update(status="started")

    answer = api(operator).post(f"/api/v1/executions/{origin.pk}/fork", {"step": 3})

    assert answer.status_code == 422
    assert "is unknown" in answer.json()["errors"][0]["message"]
    assert fork(api, operator, origin, step=1).status == TaskStatus.ASSIGNED


def test_a_running_execution_is_not_forked(
    api: Api, operator: User, organization: Organization, agent: Agent
) -> None:
    claim = claim_one(make_task(organization, agent=agent))

    answer = api(operator).post(f"/api/v1/executions/{claim.execution.pk}/fork", {"step": 1})

    assert (answer.status_code, answer.json()["code"]) == (409, "execution.is_running")


def test_the_copied_steps_are_no_run_in_004s_words(
    api: Api, admin: User, origin: AgentExecution
) -> None:
    fork(api, admin, origin, step=1)

    body = api(admin).get("/v1/agentexecutions").json()

    assert [run["id"] for run in body["sys_agentExecutions"]] == [str(origin.pk)]


def test_the_console_forks_and_leads_to_the_task(
    client: Client, operator: User, origin: AgentExecution
) -> None:
    client.force_login(operator)
    page = reverse("admin:agents_agentexecution_fork_execution", args=[origin.pk])
    asked = {"_form_submitted": "on", "instructions": "Again."}

    run = client.get(reverse("admin:agents_agentexecution_change", args=[origin.pk]))
    dialog = client.get(page, {"step": "3"}).content.decode()
    refused = client.post(page, {**asked, "step": "4"})
    answer = client.post(page, {**asked, "step": "3"})

    task = Task.objects.get(metadata={"forked_from": str(origin.pk)})
    assert f'hx-get="{page}?step=3"' in run.content.decode()
    assert 'name="step" value="3"' in dialog
    assert '<option value="1">1, of ' in dialog
    assert "The run ended with this step." in refused.content.decode()
    assert answer["Location"] == reverse("admin:tasks_task_change", args=[task.pk])
    assert task.prompt == "Write\n\nTwice.\n\nAgain."


def test_who_may_only_look_is_offered_no_fork(
    client: Client, viewer: User, origin: AgentExecution
) -> None:
    client.force_login(viewer)

    page = client.get(reverse("admin:agents_agentexecution_change", args=[origin.pk]))

    assert "step 3" in page.content.decode()
    assert "fork_execution" not in page.content.decode()


def test_a_fork_knows_what_was_said_before(
    api: Api, operator: User, agent: Agent, peer: ModelPeer, notes: list[str]
) -> None:
    talk = uuid4()

    def say(title: str) -> AgentExecution:
        whose: dict[str, Any] = {"conversation_id": talk, "user_id": operator.pk}
        task = make_task(agent.organization, agent=agent, title=title, **whose)
        finish(claim_one(task))
        return AgentExecution.objects.get(task_id=task.pk)

    _, origin, _ = [say(title) for title in ("Write it.", "Write again.", "Much later.")]

    task = fork(api, operator, origin, step=3)
    finish(claim_one(task))

    told = [m["content"] for m in peer.requests[-1].body["messages"] if m["role"] == "user"]
    assert told == ["Write it.", "Write again."]
    of_fork = AgentExecution.objects.filter(task_id=task.pk)
    assert {run.conversation_id for run in of_fork} == {None}
