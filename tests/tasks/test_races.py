"""Races lost on purpose: the loser changes nothing, and nobody waits for ever."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Organization
from agents.choices import AgentStatus, ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.operations import registry
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock
from kernel.errors import DomainError
from tasks.choices import AttemptOutcome, TaskStatus
from tasks.errors import LeaseLost, TaskNotCancellable
from tasks.models import Task, TaskAttempt
from tasks.operations import endings, requests, sweeps
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, answered, failed, make_agent
from tests.tasks.factories import LEASE, act, change, claim_all, claim_one, make_task
from tests.threads import behind, race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(transactional_db: None) -> Organization:
    """An organization that other threads see."""
    return make_organization()


@pytest.fixture
def agent(home: Organization) -> Agent:
    """A started agent with two slots."""
    return make_agent(home, max_concurrent_tasks=2)


def settle(claim: Any, result: Any = None) -> Task:
    return endings.settle_attempt(claim=claim, result=result or answered(), now=clock.now())


def stop(agent: Agent) -> Agent:
    return registry.stop_agent(
        organization_id=agent.organization_id, agent_id=agent.pk, actor=PERSON, now=clock.now()
    )


def written() -> list[Any]:
    """Everything that a late write could have touched."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (Task, TaskAttempt, AgentExecution, Agent, AuditEvent, OutboxEvent)
    ]


def test_one_task_goes_to_one_of_two_claimers(home: Organization, agent: Agent) -> None:
    for _ in range(10):
        task = make_task(home, agent=agent)

        outcomes = race(claim_all, claim_all)

        (claim,) = [claim for batch in outcomes for claim in batch]
        assert TaskAttempt.objects.filter(task=task).count() == 1
        settle(claim)


def test_an_agents_limit_holds_among_claimers(home: Organization, agent: Agent) -> None:
    for _ in range(6):
        make_task(home, agent=agent)

    outcomes = race(*[partial(claim_all, limit=2)] * 4)

    assert sum(map(len, outcomes)) == 2


@pytest.mark.parametrize(
    "take_away",
    [
        lambda task: act(requests.cancel_task, task),
        lambda task: change(task, status="completed"),
        lambda task: stop(task.agent),
        lambda _: sweeps.sweep_tasks(now=clock.now() + 2 * LEASE),
    ],
    ids=["cancelled", "completed by a person", "agent stopped", "lease lapsed"],
)
def test_a_late_worker_writes_nothing(
    home: Organization, agent: Agent, take_away: Callable[[Task], Any]
) -> None:
    task = make_task(home, agent=agent)
    claim = claim_one(task)
    take_away(task)
    before = written()

    for late in (settle, lambda c: endings.return_attempt(claim=c, now=clock.now())):
        with pytest.raises(LeaseLost):
            late(claim)

    assert written() == before
    assert AgentExecution.objects.get().status == ExecutionStatus.CANCELLED


def test_a_worker_that_waits_behind_a_cancel_writes_nothing(
    home: Organization, agent: Agent
) -> None:
    task = make_task(home, agent=agent)
    claim = claim_one(task)

    cancelled, late = behind(partial(act, requests.cancel_task, task), partial(settle, claim))

    task.refresh_from_db()
    agent.refresh_from_db()
    assert cancelled.status == task.status == TaskStatus.CANCELLED
    assert isinstance(late, LeaseLost)
    assert (task.result, agent.status, agent.tasks_completed) == (None, AgentStatus.IDLE, 0)


def test_a_cancel_that_waits_behind_the_answer_is_refused(home: Organization, agent: Agent) -> None:
    task = make_task(home, agent=agent)
    claim = claim_one(task)

    _, late = behind(partial(settle, claim), partial(act, requests.cancel_task, task))

    task.refresh_from_db()
    assert isinstance(late, TaskNotCancellable)
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "Done.")


def test_two_cancels_are_one(home: Organization, agent: Agent) -> None:
    task = make_task(home, agent=agent)
    claim_one(task)

    outcomes = race(*[partial(act, requests.cancel_task, task)] * 2)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Task", "TaskNotCancellable"]
    assert AuditEvent.objects.filter(action="task.cancel").count() == 1


def test_no_claim_passes_a_stop(home: Organization, agent: Agent) -> None:
    task = make_task(home, agent=agent)

    _, claimed = behind(partial(stop, agent), claim_all)

    task.refresh_from_db()
    assert claimed == []
    assert (task.status, task.attempt_count) == (TaskStatus.ASSIGNED, 0)


def test_a_stop_takes_what_was_claimed_before_it(home: Organization, agent: Agent) -> None:
    task = make_task(home, agent=agent)

    (claim,), _ = behind(claim_all, partial(stop, agent))

    task.refresh_from_db()
    agent.refresh_from_db()
    assert (task.status, task.lease_expires_at) == (TaskStatus.ASSIGNED, None)
    assert agent.status == AgentStatus.OFFLINE
    assert TaskAttempt.objects.get(pk=claim.attempt_id).outcome == AttemptOutcome.RETURNED


def test_a_task_moved_to_another_agent_is_not_claimed_for_the_first(
    home: Organization, agent: Agent
) -> None:
    other = make_agent(home)
    task = make_task(home, agent=agent)

    _, claimed = behind(partial(change, task, agent_id=other.pk), claim_all)

    assert claimed == []
    assert claim_one(task).agent_id == other.pk


def test_a_claim_runs_the_version_that_was_saved_while_it_waited(
    home: Organization, agent: Agent
) -> None:
    task = make_task(home, agent=agent)
    update = partial(
        registry.update_agent,
        organization_id=home.pk,
        agent_id=agent.pk,
        values={"system_prompt": "Anew."},
        actor=PERSON,
        now=clock.now(),
    )

    _, (claim,) = behind(update, claim_all)

    assert claim.task_id == task.pk
    assert (claim.version.number, claim.version.system_prompt) == (2, "Anew.")


def test_an_agent_that_somebody_keeps_locked_holds_up_no_other(
    home: Organization, agent: Agent
) -> None:
    make_task(home, agent=agent, priority="critical")
    free = make_task(home, agent=make_agent(home))
    locked, claimed = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
            locked.set()
            assert claimed.wait(20)

    def claim() -> list[Any]:
        assert locked.wait(20)
        try:
            return claim_all()
        finally:
            claimed.set()

    _, claims = race(hold, claim)

    assert [claim.task_id for claim in claims] == [free.pk]


def test_two_sweeps_take_each_task_once(home: Organization, agent: Agent) -> None:
    lapsed = [make_task(home, agent=agent) for _ in range(2)]
    claim_all()
    for _ in range(5):
        make_task(home, required_tools=["calculator"])
    capable = make_agent(home, enabled_tools=["calculator"], max_concurrent_tasks=5)

    outcomes = race(*[partial(sweeps.sweep_tasks, now=clock.now() + 2 * LEASE)] * 2)

    assert sum(swept["lost"] for swept in outcomes) == 2
    assert sum(swept["assigned"] for swept in outcomes) == 5
    assert Task.objects.filter(agent=capable, status=TaskStatus.ASSIGNED).count() == 5
    assert {t.retry_count for t in Task.objects.filter(pk__in=[t.pk for t in lapsed])} == {1}


def test_a_cancel_that_waits_while_the_hub_picks_an_agent_still_cancels(
    home: Organization, agent: Agent
) -> None:
    task = make_task(home)

    _, cancelled = behind(
        partial(sweeps.assign_tasks, now=clock.now()), partial(act, requests.cancel_task, task)
    )

    assert (cancelled.status, cancelled.agent_id) == (TaskStatus.CANCELLED, agent.pk)


def test_nobody_waits_for_ever(home: Organization) -> None:
    agents = [make_agent(home, max_concurrent_tasks=3) for _ in range(2)]

    outcomes = race(
        partial(_ask, home, agents),
        _work,
        _work,
        partial(_switch, agents),
        lambda: [sweeps.sweep_tasks(now=clock.now() + 2 * LEASE) for _ in range(40)] and None,
    )

    assert outcomes == [None] * 5
    assert not TaskAttempt.objects.filter(outcome="running").exclude(task__status="in_progress")


def _ask(home: Organization, agents: list[Agent]) -> None:
    for number in range(60):
        task = make_task(home, agent=agents[number % 2], max_retries=1)
        _refused(partial(change, task, agent_id=agents[(number + 1) % 2].pk))
        _refused(partial(change, task, status="in_progress"))
        _refused(partial(act, requests.cancel_task, task))


def _work() -> None:
    for number in range(60):
        for claim in claim_all(limit=4):
            _refused(partial(settle, claim, answered() if number % 2 else failed()))


def _switch(agents: list[Agent]) -> None:
    for number in range(60):
        verb = registry.start_agent if number % 2 else registry.stop_agent
        agent = agents[number // 2 % 2]
        verb(
            organization_id=agent.organization_id, agent_id=agent.pk, actor=PERSON, now=clock.now()
        )


def _refused(operation: Callable[[], Any]) -> None:
    try:
        operation()
    except DomainError:
        return
