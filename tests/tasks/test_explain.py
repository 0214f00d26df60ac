"""`GET /tasks/{id}/explain` and `/attempts`: why a task does not run, and what was tried."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.choices import UserRole
from accounts.models import Organization, User
from agents.models import Agent
from agents.operations import registry
from agents.runtime import failures
from agents.runtime.spec import FailureKind, RunFailure, RunResult, Usage
from breakers.models import CircuitBreaker
from kernel import clock
from tasks.models import Task
from tasks.operations import endings
from tasks.selectors.explanations import SUMMARIES, Explanation, explain_task
from tests.accounts.factories import make_user, withdraw
from tests.agents.factories import PERSON, answered, failed, make_agent
from tests.breakers.factories import make_breaker
from tests.clients import ApiClient
from tests.hub.console_rows import address
from tests.tasks.factories import LEASE, change, claim_all, claim_one, make_task

Api = Callable[[User | None], ApiClient]
HOUR = timedelta(hours=1)


def explain(task: Task, *, after: timedelta = timedelta()) -> Explanation:
    """The explanation of `task` as it stands `after` now."""
    return explain_task(task=Task.objects.get(pk=task.pk), now=clock.now() + after)


def codes(task: Task, *, after: timedelta = timedelta()) -> list[str]:
    return [str(reason.code) for reason in explain(task, after=after).reasons]


def message(task: Task, place: int = 0) -> str:
    return explain(task).reasons[place].message


def manage(operation: Any, agent: Agent) -> None:
    operation(
        organization_id=agent.organization_id, agent_id=agent.pk, actor=PERSON, now=clock.now()
    )


def test_every_reason_that_can_come_first_has_its_sentence() -> None:
    assert {str(code) for code in SUMMARIES} == {
        "running",
        "lease_lapsed",
        "no_agent_fits",
        "waiting_for_agent",
        "agent_deleted",
        "agent_stopped",
        "agent_at_limit",
        "agent_disabled",
        "waiting_for_retry",
        "concurrency_limit",
        "rate_limit",
        "breaker_open",
        "budget_exhausted",
        "cost_unpriced",
        "waiting_for_approval",
        "deadline",
        "waiting_for_worker",
        "no_worker",
        "waiting_for_person",
        "ended",
    }


def test_a_task_that_a_breaker_put_off_names_it_and_loses_no_retry(api: Api, admin: User) -> None:
    breaker = make_breaker(admin.organization, name="provider:openai")
    agent = make_agent(admin.organization, llm_provider="openai", llm_model="gpt-4o")
    claim = claim_one(make_task(admin.organization, agent=agent, max_retries=0))
    refusal = failures.breaker_open("The breaker provider:openai is open.", seconds=60)
    result = replace(failed(), error=refusal)
    task = endings.settle_attempt(claim=claim, result=result, now=clock.now())

    client = api(admin)
    (reason,) = client.get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]
    shown = client.get(f"/api/v1/tasks/{task.pk}").json()

    assert (reason["code"], reason["message"]) == (
        "breaker_open",
        "The breaker provider:openai is open.",
    )
    assert reason["link"] == "/api/v1/circuit-breakers"
    assert reason["console_link"] == address(CircuitBreaker, breaker.pk)
    assert (shown["status"], shown["retry_count"]) == ("assigned", 0)
    assert shown["next_attempt_at"] == task.available_at.isoformat()
    assert task.attempts.get().outcome == "postponed"


@pytest.mark.parametrize(("role", "status"), [(UserRole.ADMIN, 200), (UserRole.VIEWER, 403)])
def test_a_link_is_for_those_who_may_follow_it(
    api: Api, client: Client, organization: Organization, role: UserRole, status: int
) -> None:
    reader = make_user(organization, role=role)
    breaker = make_breaker(organization, name="provider:openai")
    agent = make_agent(organization, llm_provider="openai", llm_model="gpt-4o")
    claim = claim_one(make_task(organization, agent=agent))
    refusal = failures.breaker_open("The breaker provider:openai is open.", seconds=60)
    result = replace(failed(), error=refusal)
    endings.settle_attempt(claim=claim, result=result, now=clock.now())
    client.force_login(reader)

    (reason,) = api(reader).get(f"/api/v1/tasks/{claim.task_id}/explain").json()["reasons"]

    asked = "/api/v1/circuit-breakers", address(CircuitBreaker, breaker.pk)
    assert (api(reader).get(asked[0]).status_code, client.get(asked[1]).status_code) == (
        status,
        status,
    )
    offered = asked if status == 200 else (None, None)
    assert (reason["link"], reason["console_link"]) == offered


def test_a_run_is_linked_for_those_who_may_see_runs(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    claim_one(task)
    withdraw("execution.read")

    (reason,) = api(viewer).get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]

    assert (reason["code"], reason["link"], reason["console_link"]) == ("running", None, None)


@pytest.mark.parametrize(
    ("way", "provider", "wakes"),
    [
        ("force-close", "openai", True),
        ("reset", "openai", True),
        ("reset", "anthropic", False),
        ("force-open", "openai", False),
    ],
)
def test_who_lets_calls_through_again_wakes_what_waits_for_them(
    api: Api, admin: User, way: str, provider: str, *, wakes: bool
) -> None:
    make_breaker(admin.organization, name=f"provider:{provider}")
    agent = make_agent(admin.organization, llm_provider="openai", llm_model="gpt-4o")
    claim = claim_one(make_task(admin.organization, agent=agent))
    refusal = failures.breaker_open("The breaker provider:openai is open.", seconds=600)
    result = replace(failed(), error=refusal)
    task = endings.settle_attempt(claim=claim, result=result, now=clock.now())

    answer = api(admin).post(f"/api/v1/circuit-breakers/provider:{provider}/{way}")

    assert answer.status_code == 200
    assert (codes(task) != ["breaker_open"]) is wakes


def test_a_running_task_names_its_worker_and_lease(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    claim = claim_one(task)
    task.refresh_from_db()

    body = api(viewer).get(f"/api/v1/tasks/{task.pk}/explain").json()

    (reason,) = body.pop("reasons")
    assert body == {
        "task_id": str(task.pk),
        "status": "in_progress",
        "summary": "The task is running.",
    }
    assert task.lease_expires_at is not None
    assert task.started_at is not None
    assert reason == {
        "code": "running",
        "message": "Worker worker:1 runs attempt 1.",
        "since": task.started_at.isoformat().replace("+00:00", "Z"),
        "until": task.lease_expires_at.isoformat().replace("+00:00", "Z"),
        "link": f"/api/v1/executions/{claim.execution.pk}",
        "console_link": reverse("admin:agents_agentexecution_change", args=[claim.execution.pk]),
    }


def test_a_lapsed_lease_is_said(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    claim_one(task)

    assert codes(task, after=LEASE * 2) == ["lease_lapsed"]


def test_work_by_hand_is_running(organization: Organization) -> None:
    task = change(make_task(organization, agent=make_agent(organization)), status="in_progress")

    assert (codes(task), message(task)) == (["running"], "A person works on the task by hand.")


def test_without_an_agent_none_fits(organization: Organization, stranger: User) -> None:
    make_agent(stranger.organization)
    task = make_task(organization)

    assert codes(task) == ["no_agent_fits"]
    assert message(task) == "There is no agent. Create one and start it."


def test_missing_tools_are_named_for_each_agent(organization: Organization) -> None:
    tools = ["calculator", "http_get"]
    one = make_agent(organization, enabled_tools=["calculator"])
    other = make_agent(organization, enabled_tools=tools, tool_blacklist=["http_get"])
    task = make_task(organization, required_tools=tools)

    reasons = explain(task).reasons

    assert codes(task) == ["no_agent_fits", "agent_lacks_tools", "agent_lacks_tools"]
    assert reasons[0].message == (
        "No agent may use all of: calculator, http_get. Enable them for one."
    )
    assert [(reason.kind, reason.id) for reason in reasons[1:]] == [
        ("agent", one.pk),
        ("agent", other.pk),
    ]
    assert reasons[1].message == f"Agent {one.name} may not use: http_get."


def test_the_closest_candidates_come_first(organization: Organization) -> None:
    make_agent(organization)
    make_agent(organization, started=False, enabled_tools=["calculator"])
    full = make_agent(organization, enabled_tools=["calculator"], max_concurrent_tasks=1)
    make_task(organization, agent=full)
    task = make_task(organization, required_tools=["calculator"])

    assert codes(task) == [
        "no_agent_fits",
        "agent_at_limit",
        "agent_stopped",
        "agent_lacks_tools",
    ]
    assert message(task, 1) == f"Agent {full.name} has 1 of 1 tasks at once."


def test_no_more_than_ten_candidates_are_shown(organization: Organization) -> None:
    for _ in range(11):
        make_agent(organization, started=False)

    reasons = codes(make_task(organization))

    assert reasons == ["no_agent_fits", *["agent_stopped"] * 10]


def test_an_agent_that_fits_is_named(organization: Organization) -> None:
    for _ in range(11):
        make_agent(organization)
    able = make_agent(organization, enabled_tools=["calculator"])

    reasons = explain(make_task(organization, required_tools=["calculator"])).reasons

    assert [(reason.code, reason.id) for reason in reasons] == [("waiting_for_agent", able.pk)]


def test_a_stopped_agent_is_the_reason(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    manage(registry.stop_agent, agent)
    agent.refresh_from_db()

    (reason,) = explain(task).reasons

    assert (reason.code, reason.id, reason.since) == (
        "agent_stopped",
        agent.pk,
        agent.last_active_at,
    )


def test_a_deleted_agent_is_the_reason(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    manage(registry.delete_agent, agent)

    assert codes(task) == ["agent_deleted"]


def test_a_full_agent_is_the_reason(organization: Organization) -> None:
    agent = make_agent(organization, max_concurrent_tasks=2)
    for _ in range(2):
        make_task(organization, agent=agent)
    claim_all()
    task = make_task(organization, agent=agent)

    assert codes(task) == ["agent_at_limit"]
    assert message(task) == f"Agent {agent.name} has 2 of 2 tasks at once."


def test_a_retry_waits_until_its_time(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    now = clock.now()
    claim = claim_one(task)
    endings.settle_attempt(claim=claim, result=failed(after=500.0), now=now)

    (reason,) = explain(task).reasons

    assert (reason.kind, reason.id) == ("execution", claim.execution.pk)

    assert (reason.code, reason.until) == ("waiting_for_retry", now + timedelta(seconds=500))
    assert reason.message == "The last attempt failed. The provider is away."


def test_several_reasons_are_all_given(organization: Organization) -> None:
    agent = make_agent(organization)
    task = make_task(organization, agent=agent)
    endings.settle_attempt(claim=claim_one(task), result=failed(after=500.0), now=clock.now())
    manage(registry.stop_agent, agent)

    assert codes(task) == ["agent_stopped", "waiting_for_retry"]


def test_a_deadline_is_told_when_near_and_when_passed(organization: Organization) -> None:
    deadline = clock.now() + HOUR
    task = make_task(organization, deadline=deadline, agent=make_agent(organization))

    near = explain(task, after=timedelta(minutes=58)).reasons
    passed = explain(task, after=HOUR).reasons

    assert codes(task) == ["waiting_for_worker"]
    assert [(r.code, r.until) for r in near] == [("no_worker", None), ("deadline", deadline)]
    assert [(r.code, r.since) for r in passed] == [("deadline", deadline)]


def test_what_nobody_claims_points_at_the_workers(
    organization: Organization, stranger: User
) -> None:
    task = make_task(organization, agent=make_agent(organization))
    later = timedelta(seconds=11)

    assert (codes(task), codes(task, after=later)) == (["waiting_for_worker"], ["no_worker"])
    other = make_task(stranger.organization, agent=make_agent(stranger.organization))
    change(task, agent_id=None)
    claim_one(other)
    change(task, agent_id=make_agent(organization).pk)
    assert codes(task, after=later) == ["waiting_for_worker"]
    assert codes(task, after=LEASE * 2) == ["no_worker"]


def test_review_says_what_a_person_must_decide(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    unknown = RunFailure(
        kind=FailureKind.TOOL_OUTCOME_UNKNOWN, message="Nobody knows.", retryable=False
    )
    result = RunResult(
        status="error", output="", error=unknown, usage=Usage(), tool_calls=1, duration_ms=7
    )
    claim = claim_one(task)
    endings.settle_attempt(claim=claim, result=result, now=clock.now())

    (reason,) = explain(task).reasons

    assert (reason.code, reason.kind, reason.id) == (
        "waiting_for_person",
        "execution",
        claim.execution.pk,
    )
    assert reason.message.startswith("Nobody knows. Set its status to in_progress")


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("completed", "The task was completed."),
        ("failed", "The task failed."),
        ("cancelled", "The task was cancelled."),
    ],
)
def test_what_has_ended_says_so(organization: Organization, ending: str, expected: str) -> None:
    task = change(make_task(organization, agent=make_agent(organization)), status="in_progress")
    done = change(task, status=ending)

    (reason,) = explain(task).reasons

    assert (reason.code, reason.message, reason.since) == ("ended", expected, done.completed_at)


def test_an_explanation_takes_few_queries(api: Api, viewer: User) -> None:
    home = viewer.organization
    client = api(viewer)
    counted = set()
    for _ in range(2):
        for _ in range(4):
            make_agent(home, started=False)
            make_task(home, agent=make_agent(home))
        tasks = [make_task(home, required_tools=["http_get"]), *Task.objects.all()[:2]]
        claim_all()
        for task in tasks:
            with CaptureQueriesContext(connection) as queries:
                client.get(f"/api/v1/tasks/{task.pk}/explain")
            counted.add(len(queries))

    assert max(counted) <= 6


def test_attempts_come_first_to_last_with_what_they_cost(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    now = clock.now()
    first = claim_one(task)
    endings.settle_attempt(claim=first, result=failed(), now=now)
    second = claim_one(task, now=now + HOUR, worker="worker:2")
    endings.settle_attempt(claim=second, result=answered(), now=now + HOUR)
    client = api(viewer)

    body = client.get(f"/api/v1/tasks/{task.pk}/attempts").json()

    assert body["total"] == 2
    assert [item["outcome"] for item in body["items"]] == ["failed", "succeeded"]
    assert [item["execution_id"] for item in body["items"]] == [
        str(first.execution.pk),
        str(second.execution.pk),
    ]
    last = body["items"][1]
    assert last.pop("created_at") == last.pop("finished_at")
    assert last == {
        "id": str(second.attempt_id),
        "number": 2,
        "version": 1,
        "worker": "worker:2",
        "outcome": "succeeded",
        "error": "",
        "execution_id": str(second.execution.pk),
        "execution_status": "success",
        "tool_calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": "0.00000000",
        "duration_ms": 7,
    }
    page = client.get(f"/api/v1/tasks/{task.pk}/attempts", limit=1, offset=1).json()
    assert [item["number"] for item in page["items"]] == [2]


def test_more_attempts_take_no_more_queries(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization), max_retries=9)
    client, counted = api(viewer).known(), []
    now = clock.now()

    for number in range(1, 5):
        claim = claim_one(task, now=now + number * HOUR)
        endings.settle_attempt(claim=claim, result=failed(), now=now + number * HOUR)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/api/v1/tasks/{task.pk}/attempts")
        assert len(answer.json()["items"]) == number
        counted.append(len(queries))

    assert len(set(counted)) == 1
    assert counted[0] <= 4


@pytest.mark.parametrize("route", ["attempts", "explain"])
def test_another_organizations_task_is_not_explained(
    api: Api, stranger: User, organization: Organization, route: str
) -> None:
    task = make_task(organization)
    path = f"/api/v1/tasks/{task.pk}/{route}"

    assert api(stranger).get(path).status_code == 404
    assert api(None).get(path).status_code == 401
