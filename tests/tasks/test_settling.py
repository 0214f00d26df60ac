"""Ended runs, many in one transaction: each gets its own end, and none spoils the others'."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization
from agents.choices import AgentStatus, ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.runtime.spec import RunResult
from audit.models import AuditEvent
from kernel import clock, loop
from tasks.choices import AttemptOutcome, TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.operations import claims, endings, requests
from tasks.operations.endings import Settlement
from tasks.operations.runner import Runner
from tasks.operations.settling import Settling
from tests.accounts.factories import make_organization
from tests.agents.factories import answered, failed, make_agent
from tests.tasks.factories import LEASE, act, claim_all, make_task


def settle_all(*settlements: Settlement) -> dict[Any, Task]:
    return endings.settle_attempts(settlements=settlements, now=clock.now())


def test_each_run_of_a_batch_ends_in_its_own_way(
    organization: Organization, other_organization: Organization
) -> None:
    first = make_agent(organization, max_concurrent_tasks=5)
    second = make_agent(other_organization, max_concurrent_tasks=5)
    tasks = [make_task(a.organization, agent=a, max_retries=0) for a in (first, first, second)]
    claims = {claim.task_id: claim for claim in claim_all()}
    done, broken, foreign = (claims[task.pk] for task in tasks)

    settled = settle_all(
        Settlement(done, answered("One.")),
        Settlement(broken, failed()),
        Settlement(foreign, answered("Two.")),
    )

    assert settled.keys() == {claim.attempt_id for claim in claims.values()}
    rows = [Task.objects.get(pk=task.pk) for task in tasks]
    assert [(row.status, row.result) for row in rows] == [
        (TaskStatus.COMPLETED, "One."),
        (TaskStatus.FAILED, None),
        (TaskStatus.COMPLETED, "Two."),
    ]
    outcomes = dict(TaskAttempt.objects.values_list("task_id", "outcome"))
    assert [outcomes[task.pk] for task in tasks] == ["succeeded", "failed", "succeeded"]
    agents = [Agent.objects.get(pk=agent.pk) for agent in (first, second)]
    assert [(a.tasks_completed, a.tasks_failed, a.status) for a in agents] == [
        (1, 1, AgentStatus.IDLE),
        (1, 0, AgentStatus.IDLE),
    ]
    recorded = AuditEvent.objects.filter(action__in=["task.complete", "task.fail"])
    assert {(e.organization_id, e.resource_id, e.actor_label) for e in recorded} == {
        (agent.organization_id, str(task.pk), agent.name)
        for agent, task in zip((first, first, second), tasks, strict=True)
    }


def test_one_that_came_late_changes_nothing_and_holds_nobody_up(
    organization: Organization,
) -> None:
    agent = make_agent(organization, max_concurrent_tasks=5)
    taken, kept = make_task(organization, agent=agent), make_task(organization, agent=agent)
    claims = {claim.task_id: claim for claim in claim_all()}
    act(requests.cancel_task, taken)
    before = Task.objects.filter(pk=taken.pk).values().get()

    settled = settle_all(
        Settlement(claims[taken.pk], answered("Late.")), Settlement(claims[kept.pk], answered("OK"))
    )

    assert settled.keys() == {claims[kept.pk].attempt_id}
    assert Task.objects.filter(pk=taken.pk).values().get() == before
    assert Task.objects.get(pk=kept.pk).result == "OK"


def test_an_old_and_a_new_claim_on_one_task_are_told_apart(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    (old,) = claim_all()
    endings.return_attempt(claim=old, now=clock.now())
    (new,) = claim_all()

    settled = settle_all(Settlement(new, answered("New.")), Settlement(old, answered("Old.")))

    assert settled.keys() == {new.attempt_id}
    assert Task.objects.get(pk=task.pk).result == "New."


def test_what_began_while_somebody_waited_for_the_lock_has_lasted_no_time(
    organization: Organization,
) -> None:
    agent = make_agent(organization)
    asked = clock.now()
    make_task(organization, agent=agent)
    (claim,) = claim_all(now=clock.now())

    endings.return_attempt(claim=claim, now=asked)

    assert AgentExecution.objects.get().duration_ms == 0


def test_a_larger_batch_takes_no_more_statements(organization: Organization) -> None:
    agent = make_agent(organization, max_concurrent_tasks=100)
    counted = []
    make_task(organization, agent=agent)
    settle_all(*[Settlement(claim, answered()) for claim in claim_all()])  # loads the version

    for number in (2, 60):
        for _ in range(number):
            make_task(organization, agent=agent)
        with CaptureQueriesContext(connection) as claiming:
            claims = claim_all(limit=100)
        with CaptureQueriesContext(connection) as settling:
            settle_all(*[Settlement(claim, answered()) for claim in claims])
        assert len(claims) == number
        counted.append((len(claiming), len(settling)))

    assert counted[0] == counted[1]


@pytest.fixture
def home(transactional_db: None) -> Organization:
    """An organization that other threads see."""
    return make_organization()


def run(settling: Settling, settlements: list[Settlement]) -> int:
    """Let the process's loop settle them; the number of batches."""

    async def through() -> int:
        for settlement in settlements:
            settling.add(settlement)
        return len([None async for _ in settling.run()])

    try:
        return loop.get().submit(through()).result(30)
    finally:
        loop.stop(timeout=5)


def claimed(home: Organization, number: int) -> list[Settlement]:
    agent = make_agent(home, max_concurrent_tasks=number)
    for _ in range(number):
        make_task(home, agent=agent)
    return [Settlement(claim, answered()) for claim in claim_all(limit=number)]


def test_what_waits_goes_a_hundred_at_a_time(home: Organization) -> None:
    settling = Settling(LEASE, clock.now)

    batches = run(settling, claimed(home, 150))

    assert batches == 2
    assert Task.objects.filter(status=TaskStatus.COMPLETED).count() == 150
    assert (len(settling), settling.held(), settling.is_running) == (0, [], False)


def test_one_that_cannot_be_written_spoils_no_other(
    home: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    settlements = claimed(home, 3)
    cursed = settlements[1].claim.attempt_id
    write = endings.settle_attempts

    def refuse(*, settlements: list[Settlement], now: Any) -> Any:
        if any(each.claim.attempt_id == cursed for each in settlements):
            raise ValueError("This one cannot be written.")
        return write(settlements=settlements, now=now)

    monkeypatch.setattr(endings, "settle_attempts", refuse)

    run(Settling(LEASE, clock.now), settlements)

    ended = TaskAttempt.objects.exclude(outcome=AttemptOutcome.RUNNING)
    assert {a.pk for a in ended} == {
        each.claim.attempt_id for each in settlements if each.claim.attempt_id != cursed
    }


def test_an_answer_outlasts_a_database_that_is_away(
    home: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    settlements = claimed(home, 1)
    write, failures = endings.settle_attempts, [OperationalError("gone"), OperationalError("gone")]

    def stumble(**arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return write(**arguments)

    monkeypatch.setattr(endings, "settle_attempts", stumble)
    monkeypatch.setattr("tasks.operations.settling.AGAIN_SECONDS", 0.01)

    run(Settling(LEASE, clock.now), settlements)

    assert AgentExecution.objects.get().status == ExecutionStatus.SUCCESS


def test_it_gives_up_when_the_lease_is_over(
    home: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    settlements = claimed(home, 1)
    asked: list[Any] = []

    def fail(**arguments: Any) -> Any:
        asked.append(arguments)
        raise OperationalError("gone")

    monkeypatch.setattr(endings, "settle_attempts", fail)
    monkeypatch.setattr("tasks.operations.settling.AGAIN_SECONDS", 0.01)

    run(Settling(timedelta(seconds=0.05), clock.now), settlements)

    assert len(asked) > 1
    assert AgentExecution.objects.get().status == ExecutionStatus.RUNNING


def test_leases_of_what_waits_are_still_prolonged(home: Organization) -> None:
    settlements = claimed(home, 2)
    settling = Settling(LEASE, clock.now)

    for settlement in settlements:
        settling.add(settlement)

    assert settling.held() == [(s.claim.task_id, s.claim.fencing_token) for s in settlements]


def test_a_claim_that_breaks_leaves_no_ended_run_behind(
    home: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(**_: Any) -> RunResult:
        raise AssertionError

    def refuse(**_: Any) -> Any:
        raise OperationalError("deadlock detected")

    *others, last = claimed(home, 150)
    runner = Runner(never)
    for settlement in others:
        runner._settling.add(settlement)
    monkeypatch.setattr(claims, "claim_tasks", refuse)

    try:
        loop.get().submit(runner._settle(last.claim, last.result)).result(30)
    finally:
        loop.stop(timeout=5)

    assert Task.objects.filter(status=TaskStatus.COMPLETED).count() == 150
    assert (len(runner._settling), runner._settling.is_running) == (0, False)
