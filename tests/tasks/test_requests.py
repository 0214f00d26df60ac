"""What people ask of tasks: the machine of states, its edges, and what follows from each step."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization
from agents.choices import AgentStatus, ExecutionStatus
from agents.models import AgentExecution
from agents.operations import registry
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock
from kernel.errors import DomainError, Invalid
from tasks.choices import TRANSITIONS, AttemptOutcome, TaskStatus
from tasks.errors import (
    AgentFull,
    RetriesExhausted,
    TaskFixed,
    TaskNotCancellable,
    TaskNotFound,
    TransitionRefused,
)
from tasks.models import Task, TaskAttempt
from tasks.operations import endings, requests, sweeps
from tests.agents.factories import PERSON, answered, failed, make_agent
from tests.tasks.factories import act, change, claim_one, make_task

# Contract 003 B3, line by line.
CONTRACT = {
    "pending": {"queued", "assigned", "cancelled"},
    "queued": {"assigned", "cancelled"},
    "assigned": {"in_progress", "cancelled"},
    "in_progress": {"review", "completed", "failed", "cancelled"},
    "review": {"completed", "in_progress", "failed", "cancelled"},
    "failed": {"pending"},
    "completed": set(),
    "cancelled": set(),
}


def put(organization: Organization, status: str) -> Task:
    """A task in `status`, by the roads that lead there."""
    agent = make_agent(organization)
    task = make_task(organization, agent=None if status in {"pending", "queued"} else agent)
    steps = {
        "queued": ["queued"],
        "in_progress": ["in_progress"],
        "review": ["in_progress", "review"],
        "completed": ["in_progress", "completed"],
        "failed": ["in_progress", "failed"],
        "cancelled": ["cancelled"],
    }
    for step in steps.get(status, []):
        task = change(task, status=step)
    assert task.status == status
    return task


def test_the_machine_is_the_contracts() -> None:
    assert {status: set(targets) for status, targets in TRANSITIONS.items()} == CONTRACT


@pytest.mark.parametrize("before", TaskStatus.values)
def test_a_status_changes_as_the_contract_allows_and_not_otherwise(
    organization: Organization, before: str
) -> None:
    for after in set(TaskStatus.values) - {before}:
        task = put(organization, before)
        counted = AuditEvent.objects.count()

        refused = _refusal(lambda: change(task, status=after))  # noqa: B023 - called at once

        task.refresh_from_db()
        if after not in CONTRACT[before]:
            assert isinstance(refused, TransitionRefused)
        elif after == "assigned":
            assert isinstance(refused, Invalid)  # to whom?
        else:
            assert refused is None
            # A retry's agent is known, so it need not wait for one.
            assert task.status == ("assigned" if before == "failed" else after)
        if refused:
            assert (task.status, AuditEvent.objects.count()) == (before, counted)


def test_an_unassigned_task_is_assigned_by_naming_the_agent(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization)

    with pytest.raises(Invalid):
        change(task, status="assigned")
    changed = change(task, status="assigned", agent_id=agent.pk)

    assert (changed.status, changed.agent_id) == ("assigned", agent.pk)
    assert changed.assigned_by == str(PERSON)


def test_taking_the_agent_away_makes_a_task_pending(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))

    changed = change(task, agent_id=None)

    assert (changed.status, changed.agent_id, changed.assigned_by) == ("pending", None, "")


def test_fields_and_status_at_once_are_one_act(organization: Organization) -> None:
    task = make_task(organization)
    before = AuditEvent.objects.count(), OutboxEvent.objects.count()

    change(task, title="Anew", priority="critical", status="cancelled")

    task.refresh_from_db()
    event = AuditEvent.objects.latest("pk")
    assert (task.title, task.priority_rank, task.status) == ("Anew", 0, "cancelled")
    assert (AuditEvent.objects.count(), OutboxEvent.objects.count()) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert event.action == "task.cancel"
    assert event.details == {"from": "pending", "to": "cancelled", "fields": ["priority", "title"]}


def test_fields_are_not_kept_when_the_status_is_refused(organization: Organization) -> None:
    task = make_task(organization)

    with pytest.raises(TransitionRefused):
        change(task, title="Anew", status="completed")

    task.refresh_from_db()
    assert task.title == "Say hello"


@pytest.mark.parametrize(
    "values", [{"status": "pending"}, {"title": "Say hello"}, {"agent_id": None}, {}]
)
def test_what_changes_nothing_records_nothing(
    organization: Organization, values: dict[str, Any]
) -> None:
    task = make_task(organization)
    before = AuditEvent.objects.count(), task.updated_at

    changed = change(task, **values)

    assert (AuditEvent.objects.count(), changed.updated_at) == before


def test_a_deadline_is_taken_away(organization: Organization) -> None:
    task = make_task(organization, deadline=clock.now() + timedelta(hours=1))

    assert change(task, deadline=None).deadline is None


@pytest.mark.parametrize("status", ["in_progress", "review", "completed"])
def test_what_a_worker_was_told_does_not_change(organization: Organization, status: str) -> None:
    task = put(organization, status)

    for values in ({"title": "x"}, {"instructions": "x"}, {"agent_id": None}):
        with pytest.raises(TaskFixed):
            change(task, **values)


def test_values_that_no_state_accepts_are_named_before_the_state(
    organization: Organization,
) -> None:
    task = put(organization, "completed")

    for values in ({"agent_id": uuid4()}, {"deadline": clock.now()}):
        with pytest.raises(Invalid):
            change(task, **values)


def test_a_running_tasks_priority_may_change(organization: Organization) -> None:
    task = put(organization, "in_progress")

    assert change(task, priority="low").priority_rank == 3


def test_an_ended_tasks_priority_may_not(organization: Organization) -> None:
    with pytest.raises(TaskFixed):
        change(put(organization, "cancelled"), priority="low")


def test_a_person_who_completes_a_running_task_takes_it_from_the_worker(
    organization: Organization,
) -> None:
    task = make_task(organization, agent=make_agent(organization))
    claim = claim_one(task)

    done = change(task, status="completed")

    attempt = TaskAttempt.objects.get(pk=claim.attempt_id)
    execution = AgentExecution.objects.get(attempt_id=attempt.pk)
    assert (done.status, done.progress_percent, done.lease_expires_at) == ("completed", 100, None)
    assert done.fencing_token == claim.fencing_token + 1
    assert (attempt.outcome, attempt.finished_at) == (AttemptOutcome.CANCELLED, done.completed_at)
    assert (execution.status, execution.error_kind) == (ExecutionStatus.CANCELLED, "cancelled")


def test_work_by_hand_takes_a_slot(organization: Organization) -> None:
    agent = make_agent(organization, max_concurrent_tasks=1)
    first, second = (make_task(organization, agent=agent) for _ in range(2))

    change(first, status="in_progress")

    agent.refresh_from_db()
    assert agent.status == AgentStatus.BUSY
    with pytest.raises(AgentFull):
        change(second, status="in_progress")
    change(first, status="completed")
    agent.refresh_from_db()
    assert agent.status == AgentStatus.IDLE


def test_retries_end(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization), max_retries=1)
    refusals = []
    for _ in range(2):
        change(task, status="in_progress")
        change(task, status="failed")
        refusals.append(_refusal(lambda: act(requests.retry_task, task)))

    task.refresh_from_db()
    assert [type(refusal) for refusal in refusals] == [type(None), RetriesExhausted]
    assert f"POST /api/v1/dead-letter/{task.pk}/retry" in str(refusals[1])
    assert (task.status, task.retry_count) == ("failed", 1)


def test_a_retry_whose_agent_is_gone_looks_for_another(organization: Organization) -> None:
    task = put(organization, "failed")
    assert task.agent is not None
    registry.delete_agent(
        organization_id=organization.pk, agent_id=task.agent.pk, actor=PERSON, now=clock.now()
    )

    assert (act(requests.retry_task, task).status, task.result) == ("pending", None)


def test_a_tasks_agent_that_is_deleted_is_replaced_by_the_sweep(
    organization: Organization,
) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    registry.delete_agent(
        organization_id=organization.pk, agent_id=agent.pk, actor=PERSON, now=clock.now()
    )
    other = make_agent(organization)

    sweeps.sweep_tasks(now=clock.now())

    task.refresh_from_db()
    assert (task.status, task.agent_id, task.assigned_by) == ("assigned", other.pk, "system")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_what_has_ended_is_not_cancelled(organization: Organization, status: str) -> None:
    task = put(organization, status)

    with pytest.raises(TaskNotCancellable):
        act(requests.cancel_task, task)


def test_another_organizations_task_or_agent_is_not_found(
    organization: Organization, other_organization: Organization
) -> None:
    task = make_task(organization)
    foreign = make_agent(other_organization)

    for operation in (requests.cancel_task, requests.retry_task):
        with pytest.raises(TaskNotFound):
            operation(
                organization_id=other_organization.pk,
                task_id=task.pk,
                actor=PERSON,
                now=clock.now(),
            )
    with pytest.raises(Invalid):
        change(task, agent_id=foreign.pk)
    with pytest.raises(Invalid):
        make_task(organization, agent=foreign)


def test_an_agent_without_the_tools_is_refused(organization: Organization) -> None:
    tools = ["calculator", "http_get"]
    agent = make_agent(organization, enabled_tools=tools, tool_blacklist=["http_get"])
    task = make_task(organization, required_tools=tools)

    with pytest.raises(Invalid) as refused:
        change(task, agent_id=agent.pk)

    assert refused.value.fields[0]["message"] == (
        "The agent may not use: http_get. Enable them first."
    )


@pytest.mark.parametrize(
    ("retries", "asked", "low", "high"),
    [(0, None, 1, 2), (3, None, 8, 16), (20, None, 150, 300), (0, 900.0, 900, 900)],
)
def test_the_backoff_doubles_and_listens(
    retries: int, asked: float | None, low: float, high: float
) -> None:
    waits = [endings.backoff(retries, asked).total_seconds() for _ in range(50)]

    assert low <= min(waits) <= max(waits) <= high


def test_an_answer_ends_the_task(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    claim = claim_one(task)

    endings.settle_attempt(claim=claim, result=answered("42"), now=clock.now())

    task.refresh_from_db()
    agent.refresh_from_db()
    assert (task.status, task.result, task.progress_percent) == ("completed", "42", 100)
    assert (agent.status, agent.tasks_completed, agent.tasks_failed) == ("idle", 1, 0)
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_type, event.actor_id) == (
        "task.complete",
        "agent",
        str(agent.pk),
    )


@pytest.mark.parametrize(
    ("result", "retries", "minutes", "status"),
    [
        (failed(), 1, None, "assigned"),
        (failed(), 0, None, "failed"),
        (failed(retryable=False), 1, None, "failed"),
        (failed(after=600.0), 1, 5, "failed"),
    ],
    ids=["retried", "no retries left", "not retryable", "too late after the wait"],
)
def test_a_failure_is_retried_if_that_can_help(
    organization: Organization, result: Any, retries: int, minutes: int | None, status: str
) -> None:
    now = clock.now()
    agent = make_agent(organization)
    deadline = now + timedelta(minutes=minutes) if minutes else None
    task = make_task(organization, agent=agent, max_retries=retries, deadline=deadline, now=now)
    claim = claim_one(task, now=now)

    endings.settle_attempt(claim=claim, result=result, now=now)

    task.refresh_from_db()
    agent.refresh_from_db()
    assert (task.status, task.error) == (status, "The provider is away.")
    assert task.retry_count == (status == "assigned")
    assert agent.tasks_failed == (status == "failed")
    assert (task.available_at > now) == (status == "assigned")


def _refusal(operation: Callable[[], Any]) -> DomainError | None:
    try:
        operation()
    except DomainError as error:
        return error
    return None


def test_a_running_task_keeps_the_time_it_was_given(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    claim_one(task)

    with pytest.raises(TaskFixed):
        change(task, deadline=clock.now() + timedelta(seconds=1))
