"""What is found again by looking."""

from datetime import timedelta

import pytest

from accounts.models import Organization
from agents.choices import AgentStatus
from audit.models import AuditEvent
from kernel import clock
from tasks.models import Task, TaskAttempt
from tasks.operations import claims, sweeps
from tests.agents.factories import make_agent
from tests.tasks.factories import LEASE, claim_all, claim_one, make_task


def test_a_task_goes_to_the_least_loaded_agent_with_its_tools(organization: Organization) -> None:
    make_agent(organization)
    busy, free = (make_agent(organization, enabled_tools=["calculator"]) for _ in range(2))
    make_task(organization, agent=busy)
    task = make_task(organization, required_tools=["calculator"])

    swept = sweeps.sweep_tasks(now=clock.now())

    task.refresh_from_db()
    assert swept == {"lost": 0, "expired": 0, "assigned": 1}
    assert (task.status, task.agent_id, task.assigned_by) == ("assigned", free.pk, "system")


def test_a_blacklisted_tool_is_not_a_tool(organization: Organization) -> None:
    make_agent(organization, enabled_tools=["calculator"], tool_blacklist=["calculator"])
    task = make_task(organization, required_tools=["calculator"])

    for _ in range(2):
        sweeps.sweep_tasks(now=clock.now())

    task.refresh_from_db()
    assert (task.status, task.agent_id) == ("queued", None)
    assert AuditEvent.objects.filter(resource_id=task.pk).count() == 2  # created, queued


def test_a_stopped_agent_gets_nothing(organization: Organization) -> None:
    make_agent(organization, started=False)
    make_task(organization)

    assert sweeps.assign_tasks(now=clock.now()) == 0


def test_tasks_that_fit_nobody_do_not_hide_those_behind_them(
    organization: Organization,
    other_organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "BATCH", 3)
    for place in (organization, other_organization):
        for _ in range(4):
            make_task(place, priority="critical", required_tools=["http_get"])
    agent = make_agent(organization)
    task = make_task(organization, priority="low")

    sweeps.sweep_tasks(now=clock.now())

    task.refresh_from_db()
    assert task.agent_id == agent.pk


def test_slots_are_filled_by_priority_then_age(organization: Organization) -> None:
    make_agent(organization, max_concurrent_tasks=2)
    wanted = ["low", "critical", "medium", "critical"]
    tasks = [make_task(organization, priority=priority) for priority in wanted]

    sweeps.sweep_tasks(now=clock.now())

    assert [Task.objects.get(pk=task.pk).status for task in tasks] == [
        "queued",
        "assigned",
        "queued",
        "assigned",
    ]


def test_a_silent_worker_loses_its_task_until_retries_end(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent, max_retries=1)
    seen = []
    now = clock.now()

    for _ in range(2):
        claim_one(task, now=now)
        now += LEASE + timedelta(seconds=1)
        assert sweeps.sweep_tasks(now=now)["lost"] == 1
        task.refresh_from_db()
        seen.append((task.status, task.retry_count, task.error_kind))

    agent.refresh_from_db()
    assert seen == [("assigned", 1, "worker_lost"), ("failed", 1, "worker_lost")]
    assert list(TaskAttempt.objects.order_by("number").values_list("outcome", flat=True)) == [
        "lost",
        "lost",
    ]
    assert agent.status == AgentStatus.IDLE


def test_a_renewed_lease_is_not_lost(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    now = clock.now()
    claim = claim_one(task, now=now)
    later = now + LEASE

    held = [(claim.task_id, claim.fencing_token), (claim.task_id, claim.fencing_token + 1)]
    alive = claims.renew_leases(held=held, lease=LEASE, now=later)

    assert alive == {task.pk}
    assert claims.still_held(held=held[1:]) == set()
    assert sweeps.sweep_tasks(now=later)["lost"] == 0


def test_a_missed_deadline_fails_a_task_that_waits(organization: Organization) -> None:
    now = clock.now()
    deadline = now + timedelta(minutes=1)
    agent = make_agent(organization)
    tasks = [make_task(organization, agent=who, deadline=deadline) for who in (None, agent)]

    swept = sweeps.sweep_tasks(now=deadline)

    assert swept["expired"] == 2
    assert claim_all(now=deadline) == []
    for task in tasks:
        task.refresh_from_db()
        assert (task.status, task.error_kind, task.completed_at) == ("failed", "deadline", deadline)


def test_one_broken_row_does_not_keep_the_others_waiting(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    tasks = [make_task(organization, deadline=now + timedelta(minutes=n)) for n in (1, 2)]
    expire = sweeps._expire

    def break_first(row: sweeps.Row, at: object) -> bool:
        if row[0] == tasks[0].pk:
            raise LookupError
        return expire(row, now + timedelta(hours=1))

    monkeypatch.setattr(sweeps, "_expire", break_first)

    assert sweeps.sweep_tasks(now=now + timedelta(hours=1))["expired"] == 1
