"""Tasks that are put off again and again wait longer, and carry no longer past with them."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization
from agents.models import AgentExecution
from agents.operations import model_turns, resumption
from agents.runtime import failures
from agents.runtime.journal import ModelTurn
from agents.runtime.spec import RunFailure, RunResult, Usage
from kernel import clock
from tasks.models import Task
from tasks.operations import endings, postponing, sweeps
from tasks.operations.claims import Claim
from tests.agents.factories import make_agent
from tests.tasks.factories import claim_one, make_task

pytestmark = pytest.mark.django_db
NOW = clock.now()
BUSY = failures.breaker_open("The circuit breaker provider:demo is open.", seconds=1)


@pytest.fixture
def task(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task whose waits are not spread."""
    monkeypatch.setattr(postponing, "SPREAD_SECONDS", 0.0)
    return make_task(organization, agent=make_agent(organization), now=NOW)


def held(failure: RunFailure = BUSY) -> RunResult:
    return RunResult(
        status="error", output="", error=failure, usage=Usage(), tool_calls=0, duration_ms=1
    )


def settle(claim: Claim, *, now: datetime, failure: RunFailure = BUSY) -> Task:
    return endings.settle_attempt(claim=claim, result=held(failure), now=now)


def add_turn(execution: AgentExecution) -> None:
    turn = ModelTurn(
        ordinal=1,
        provider="demo",
        model="demo",
        text="Thinking.",
        tool_calls=(),
        usage=Usage(),
        finish_reason="tool_call",
        duration_ms=5,
        message={"kind": "response"},
    )
    model_turns.record_turn(execution=execution, ordinal=1, turn=turn, now=NOW)


def put_off(
    task: Task, times: int, *, now: datetime = NOW, failure: RunFailure = BUSY
) -> tuple[list[float], datetime]:
    """The waits in seconds, each begun when the one before was over."""
    waits: list[float] = []
    for _ in range(times):
        after = settle(claim_one(task, now=now), now=now, failure=failure)
        waits.append((after.available_at - now).total_seconds())
        now = after.available_at
    return waits, now


def test_each_wait_is_longer_up_to_two_minutes(task: Task) -> None:
    waits, _ = put_off(task, 9)

    assert waits == [1, 4, 8, 16, 32, 64, 120, 120, 120]


def test_what_others_use_up_for_the_moment_is_asked_for_sooner(task: Task) -> None:
    waits, _ = put_off(task, 7, failure=failures.rate_limit("Used up.", seconds=1, rule_id=task.pk))

    assert waits == [1, 4, 8, 16, 30, 30, 30]


def test_who_is_asked_to_wait_longer_does(task: Task) -> None:
    _, now = put_off(task, 3)

    after = settle(
        claim_one(task, now=now), now=now, failure=failures.breaker_open("Open.", seconds=900)
    )

    assert after.available_at == now + timedelta(seconds=900)


def test_who_wakes_it_lets_it_begin_with_short_waits(task: Task) -> None:
    _, now = put_off(task, 5)
    now += timedelta(seconds=1)
    settle(claim_one(task, now=now), now=now)

    sweeps.wake_put_off(task.organization_id, "provider:demo", now)
    waits, _ = put_off(task, 1, now=now)

    assert waits == [4]


def test_what_came_further_waits_as_it_was_asked(task: Task) -> None:
    _, now = put_off(task, 4)
    claim = claim_one(task, now=now)
    add_turn(claim.execution)

    after = settle(claim, now=now)

    assert (after.available_at - now).total_seconds() == 1


def test_it_is_not_put_off_beyond_its_deadline_for_that(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(deadline=NOW + timedelta(seconds=17))

    waits, _ = put_off(task, 5)

    assert waits == [1, 4, 8, 1, 1]


def test_waits_before_the_first_step_make_no_longer_chain(task: Task) -> None:
    claim = claim_one(task, now=NOW)
    add_turn(claim.execution)
    now = settle(claim, now=NOW).available_at

    _, now = put_off(task, 3, now=now)
    last = claim_one(task, now=now).execution
    with CaptureQueriesContext(connection) as asked:
        past = resumption.read_past(execution=last, may_repeat=lambda _: False)

    assert AgentExecution.objects.filter(task_id=task.pk).count() == 5
    assert last.resumed_from_id == claim.execution.pk
    assert (past.root_id, len(past.steps), len(asked)) == (claim.execution.pk, 1, 2)
