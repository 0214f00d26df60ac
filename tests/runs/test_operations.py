"""Beginning a direct run, and what is refused before."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from agents.choices import ExecutionSource
from agents.errors import AgentDisabled
from agents.models import Agent
from agents.operations import catalogue
from agents.runtime.spec import FailureKind, RunFailure
from breakers.choices import Forced
from breakers.errors import BreakerOpen
from breakers.operations import switches
from kernel import clock
from runs import choices, selectors
from runs.errors import (
    AgentNotStarted,
    ConversationNotFound,
    ProviderNotConfigured,
    TooManyRuns,
)
from runs.operations import starting, waiting
from runs.operations.waiting import Ticket
from runs.selectors import Outcome
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings, requests, sweeps
from tasks.selectors.explanations import explain_task
from tests.agents.factories import PERSON, answered, failed, make_agent
from tests.runs.factories import start_run
from tests.tasks.factories import LEASE, act, change, claim_all, claim_one, make_task
from tests.threads import race

NOW = clock.now()


@pytest.fixture
def agent(operator: User) -> Agent:
    """A started agent."""
    return make_agent(operator.organization, name="Reckoner")


def ticket(task: Task) -> Ticket:
    return Ticket(
        organization_id=task.organization_id,
        task_id=task.pk,
        conversation_id=task.conversation_id or uuid4(),
        user_id=task.user_id or uuid4(),
        session_id=None,
        key_id=None,
        actor=PERSON,
        is_stream=False,
        outlives_client=False,
        show=lambda _: (200, {}),
    )


def outcome(task: Task) -> Outcome:
    return selectors.read_outcome(organization_id=task.organization_id, task_id=task.pk)


def test_a_run_is_a_task_that_somebody_waits_for(agent: Agent, operator: User) -> None:
    schema = {"type": "object"}

    task = start_run(agent, operator, prompt="Say  hello\nto " + "x" * 200, output_schema=schema)

    task.refresh_from_db()
    assert task.title == "Run of Reckoner: Say hello to…"
    assert task.prompt == task.description
    assert (task.status, task.agent_id) == (TaskStatus.ASSIGNED, agent.pk)
    assert (task.source, task.user_id) == (ExecutionSource.REST, operator.pk)
    assert (task.max_retries, task.output_schema) == (0, schema)
    assert task.conversation_id is not None


@pytest.mark.parametrize(("asked", "seconds"), [(None, 150), (7, 7)])
def test_it_ends_by_its_deadline(
    agent: Agent, operator: User, asked: int | None, seconds: int
) -> None:
    task = start_run(agent, operator, timeout_seconds=asked, now=NOW)

    assert task.deadline == NOW + timedelta(seconds=seconds)


def test_the_longest_run_takes_ten_minutes(operator: User) -> None:
    agent = make_agent(operator.organization, timeout_seconds=600)

    task = start_run(agent, operator, now=NOW)

    assert task.deadline == NOW + timedelta(seconds=600)


def test_the_worker_is_told_who_asks_and_for_what(agent: Agent, operator: User) -> None:
    schema = {"type": "object"}
    task = start_run(agent, operator, source=ExecutionSource.SSE, output_schema=schema)

    execution = claim_one(task).execution

    execution.refresh_from_db()
    assert (execution.source, execution.user_id) == (ExecutionSource.SSE, operator.pk)
    assert (execution.input, execution.output_schema) == ("Say hello.", schema)
    assert execution.conversation_id == task.conversation_id


@pytest.mark.parametrize(("kind", "started"), [("hosted", False), ("remote", True)])
def test_an_agent_that_takes_no_work_is_refused(
    operator: User, kind: str, *, started: bool
) -> None:
    agent = make_agent(operator.organization, started=started)
    agent.kind = kind

    with pytest.raises(AgentNotStarted):
        start_run(agent, operator)

    assert not Task.objects.exists()


def test_a_disabled_agent_is_refused(
    agent: Agent, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disabled(**_: object) -> None:
        raise AgentDisabled

    monkeypatch.setattr(starting, "configuration_of", disabled)

    with pytest.raises(AgentDisabled):
        start_run(agent, operator)

    assert not Task.objects.exists()


def test_so_many_runs_and_no_more(
    agent: Agent, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "MOST_AWAITED", 2)
    first, _ = start_run(agent, operator), start_run(agent, operator)

    with pytest.raises(TooManyRuns) as refused:
        start_run(agent, operator)
    assert refused.value.data == {"limit": 2, "retry_after_seconds": choices.RETRY_SECONDS}

    act(requests.cancel_task, first)
    start_run(agent, operator)


@pytest.mark.django_db(transaction=True)
def test_so_many_at_once_and_no_more(
    agent: Agent, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "MOST_AWAITED", 2)

    outcomes = race(*[lambda: start_run(agent, operator)] * 6)

    assert sum(isinstance(found, Task) for found in outcomes) == Task.objects.count() == 2
    assert sum(isinstance(found, TooManyRuns) for found in outcomes) == 4


def test_a_provider_without_a_key_is_refused(operator: User) -> None:
    agent = make_agent(operator.organization, llm_provider="demo")
    assert agent.current_version is not None
    agent.current_version.llm_provider = "openai"

    with pytest.raises(ProviderNotConfigured, match="OpenAI has no API key"):
        start_run(agent, operator)


def test_an_open_breaker_is_refused_until_it_tries_again(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "is_available", lambda *_: True)
    agent = make_agent(operator.organization)
    assert agent.current_version is not None
    agent.current_version.llm_provider = "openai"
    scope: dict[str, Any] = {
        "organization_id": operator.organization_id,
        "actor": PERSON,
        "now": clock.now(),
    }
    switches.configure(name="provider:openai", limits={}, **scope)
    start_run(agent, operator)

    switches.force(name="provider:openai", state=Forced.OPEN, **scope)

    with pytest.raises(BreakerOpen) as refused:
        start_run(agent, operator)
    assert refused.value.data["breaker"] == "provider:openai"


def test_a_conversation_belongs_to_its_person_and_agent(
    agent: Agent, operator: User, admin: User
) -> None:
    first = start_run(agent, operator)

    again = start_run(agent, operator, conversation_id=first.conversation_id)
    assert again.conversation_id == first.conversation_id

    for somebody, else_, name in [
        (admin, agent, first.conversation_id),
        (operator, make_agent(operator.organization), first.conversation_id),
        (operator, agent, uuid4()),
    ]:
        with pytest.raises(ConversationNotFound):
            start_run(else_, somebody, conversation_id=name)


def test_a_run_survives_one_lost_worker_and_no_second(agent: Agent, operator: User) -> None:
    task = start_run(agent, operator, now=NOW)

    states = []
    for turn in range(2):
        claim_one(task, now=NOW + turn * 2 * LEASE)
        sweeps.sweep_tasks(now=NOW + (turn * 2 + 1.5) * LEASE)
        task.refresh_from_db()
        states.append((task.status, task.error_kind))

    assert states == [("assigned", "worker_lost"), ("failed", "worker_lost")]


@pytest.mark.parametrize(
    ("ending", "status", "kind"),
    [
        (answered("Hello."), "success", ""),
        (failed(retryable=True), "error", "provider_unavailable"),
    ],
)
def test_its_outcome_is_that_of_its_task(
    agent: Agent, operator: User, ending: object, status: str, kind: str
) -> None:
    task = start_run(agent, operator)
    waits = outcome(task)
    claim = claim_one(task)

    endings.settle_attempt(claim=claim, result=ending, now=clock.now())  # type: ignore[arg-type]

    ended = outcome(task)
    assert (waits.is_settled, waits.error_kind) == (False, "goes_on")
    assert (ended.is_settled, ended.status, ended.error_kind) == (True, status, kind)
    assert ended.execution_id == claim.execution.pk
    assert ended.output == ("Hello." if status == "success" else None)
    assert ended.duration_ms == 7


def test_structured_answers_are_told_as_json(agent: Agent, operator: User) -> None:
    task = start_run(agent, operator, output_schema={"type": "object"})

    endings.settle_attempt(claim=claim_one(task), result=answered('{"sum": 84}'), now=clock.now())

    assert outcome(task).output == {"sum": 84}


def test_what_nobody_came_to_in_time_has_timed_out(agent: Agent, operator: User) -> None:
    swept = start_run(agent, operator, timeout_seconds=1, now=NOW)
    cancelled = start_run(agent, operator, timeout_seconds=1, now=NOW)
    late = NOW + timedelta(seconds=2)

    given_up = waiting.give_up(ticket=ticket(cancelled), now=late)
    sweeps.sweep_tasks(now=late)

    cancelled.refresh_from_db()
    assert (cancelled.status, cancelled.error_kind) == (TaskStatus.CANCELLED, "deadline")
    for ended in (given_up, outcome(swept)):
        assert (ended.status, ended.execution_id) == ("timeout", None)


def test_giving_up_cancels_what_runs(agent: Agent, operator: User) -> None:
    task = start_run(agent, operator)
    claim_one(task)

    given_up = waiting.give_up(ticket=ticket(task), now=clock.now())

    task.refresh_from_db()
    assert (given_up.status, given_up.error) == ("cancelled", "The run was cancelled.")
    assert (task.status, task.error_kind) == (TaskStatus.CANCELLED, "caller_gone")
    (reason,) = explain_task(task=task, now=NOW).reasons
    assert reason.message == (
        "The task was cancelled. Whoever asked for this run stopped waiting before it ended."
    )


def test_giving_up_leaves_alone_what_waits_for_a_person(agent: Agent, operator: User) -> None:
    task = start_run(agent, operator)
    claim_one(task)
    change(task, status="review")

    given_up = waiting.give_up(ticket=ticket(task), now=clock.now())

    task.refresh_from_db()
    assert (given_up.status, given_up.error_kind) == ("error", "review")
    assert given_up.error == (f"The run waits for a person. Follow it at /api/v1/tasks/{task.pk}.")
    assert task.status == TaskStatus.REVIEW


def test_giving_up_what_has_ended_changes_nothing(agent: Agent, operator: User) -> None:
    task = start_run(agent, operator)
    endings.settle_attempt(claim=claim_one(task), result=answered(), now=clock.now())

    assert waiting.give_up(ticket=ticket(task), now=clock.now()).status == "success"


def test_a_run_that_people_keep_waiting_has_no_end(agent: Agent, operator: User) -> None:
    asked = start_run(agent, operator)
    queued = make_task(operator.organization, agent=agent, deadline=NOW + timedelta(hours=1))
    claim_all()

    for task in (asked, queued):
        change(task, status="review")
        change(task, status="completed")
        task.refresh_from_db()

    assert (asked.deadline, queued.deadline) == (None, NOW + timedelta(hours=1))


@pytest.mark.parametrize(("seconds", "status"), [(10, "failed"), (120, "assigned")])
def test_a_run_that_would_be_put_off_beyond_its_time_fails_at_once(
    agent: Agent, operator: User, seconds: int, status: str
) -> None:
    task = start_run(agent, operator, timeout_seconds=seconds)
    failure = RunFailure(
        kind=FailureKind.BREAKER_OPEN,
        message="The breaker is open.",
        retryable=True,
        retry_after_seconds=60,
    )

    endings.settle_attempt(
        claim=claim_one(task), result=replace(failed(), error=failure), now=clock.now()
    )

    task.refresh_from_db()
    assert (task.status, task.error_kind) == (status, "breaker_open")
    assert outcome(task).is_settled == (status == "failed")


def test_runs_under_way_are_counted_by_their_own_index(agent: Agent, operator: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    with CaptureQueriesContext(connection) as queries:
        selectors.count_awaited(organization_id=operator.organization_id)

    (asked,) = [query["sql"] for query in queries]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {asked}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "task_awaited" in plan
