"""Routes of `/api/v1/tasks`: shapes, filters, pages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from kernel import clock
from tasks.choices import TaskPriority, TaskStatus
from tasks.operations import endings
from tests.agents.factories import answered, failed, make_agent
from tests.clients import ApiClient
from tests.tasks.factories import change, claim_one, make_task

PATH = "/api/v1/tasks/"
Api = Callable[[User | None], ApiClient]


def titles(answer: Any) -> list[str]:
    return [item["title"] for item in answer.json()["items"]]


def test_a_task_without_agent_is_pending(api: Api, operator: User) -> None:
    answer = api(operator).post(PATH, {"title": "Say hello"})

    body = answer.json()
    assert answer.status_code == 201
    assert body.pop("created_at") == body.pop("updated_at")
    assert len(body.pop("id")) == 36
    assert body == {
        "title": "Say hello",
        "description": "",
        "instructions": "",
        "priority": "medium",
        "status": "pending",
        "agent_id": None,
        "assigned_by": "",
        "source": "queue",
        "user_id": str(operator.pk),
        "conversation_id": None,
        "concurrency_key": "",
        "output_schema": None,
        "workflow_id": None,
        "parent_task_id": None,
        "required_tools": [],
        "deadline": None,
        "max_retries": 3,
        "retry_count": 0,
        "attempt_count": 0,
        "next_attempt_at": None,
        "result": None,
        "error": "",
        "error_kind": "",
        "output_files": [],
        "metadata": {},
        "progress_percent": 0,
        "estimated_duration_seconds": None,
        "actual_duration_seconds": None,
        "cost_tokens": 0,
        "cost_usd": "0.00000000",
        "started_at": None,
        "completed_at": None,
    }


def test_a_task_is_stored_as_it_was_sent(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, enabled_tools=["calculator"])
    client = api(operator)
    sent = {
        "title": "Grüße 👋",
        "description": "d",
        "instructions": "i",
        "priority": "critical",
        "agent_id": str(agent.pk),
        "deadline": "2999-01-02T03:04:05Z",
        "required_tools": ["calculator"],
        "max_retries": 0,
        "estimated_duration_seconds": 60,
        "metadata": {"a": [1, 1.5, None, True, {"b": "c"}]},
    }

    created = client.post(PATH, sent).json()

    read = client.get(f"{PATH}{created['id']}").json()
    assert read == created
    assert {name: read[name] for name in sent} == sent
    assert (read["status"], read["assigned_by"]) == ("assigned", f"user:{operator.pk}")


def test_a_finished_task_shows_its_result(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    endings.settle_attempt(claim=claim_one(task), result=answered("42"), now=clock.now())

    body = api(viewer).get(f"{PATH}{task.pk}").json()

    assert (body["status"], body["result"], body["attempt_count"]) == ("completed", "42", 1)
    assert body["started_at"] < body["completed_at"]
    assert body["actual_duration_seconds"] > 0


def test_a_task_that_waits_for_its_retry_says_until_when(api: Api, viewer: User) -> None:
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    now = clock.now()
    endings.settle_attempt(claim=claim_one(task), result=failed(after=500.0), now=now)

    body = api(viewer).get(f"{PATH}{task.pk}").json()

    assert (body["status"], body["retry_count"]) == ("assigned", 1)
    assert body["next_attempt_at"] == (now + timedelta(seconds=500)).isoformat()


def test_cancelling_twice_is_409(api: Api, operator: User) -> None:
    task = make_task(operator.organization)
    client = api(operator)

    first, second = (client.post(f"{PATH}{task.pk}/cancel") for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["code"]) == (409, "task.not_cancellable")


def test_a_refused_transition_names_the_possible_ones(api: Api, operator: User) -> None:
    task = make_task(operator.organization)

    answer = api(operator).patch(f"{PATH}{task.pk}", {"status": "completed"})

    assert (answer.status_code, answer.json()["code"]) == (409, "task.transition_refused")
    assert answer.json()["detail"] == (
        "A task that is pending cannot become completed. Possible: assigned, cancelled, queued."
    )


def test_the_list_is_newest_first_in_pages(api: Api, viewer: User, stranger: User) -> None:
    for number in range(5):
        make_task(viewer.organization, title=str(number))
    make_task(stranger.organization)
    client = api(viewer)

    first = client.get(PATH, limit=2)
    last = client.get(PATH, limit=2, skip=4)
    beyond = client.get(PATH, offset=9).json()

    assert titles(first) == ["4", "3"]
    assert first.json()["next"] == f"{PATH}?limit=2&offset=2"
    assert titles(client.get(first.json()["next"])) == ["2", "1"]
    assert (titles(last), last.json()["offset"], last.json()["next"]) == (["0"], 4, None)
    assert (beyond["items"], beyond["total"], beyond["total_exact"]) == ([], 5, True)
    assert client.get(PATH, limit=1000).json()["limit"] == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status_filter": "queued"}, ["b"]),
        ({"priority": "high"}, ["c", "a"]),
        ({"priority": "high", "status_filter": "assigned"}, ["c"]),
        ({"agent_id": "{agent}"}, ["c"]),
        ({"agent_id": str(uuid4())}, []),
        ({"unknown": "x"}, ["c", "b", "a"]),
    ],
)
def test_the_list_is_filtered(
    api: Api, viewer: User, query: dict[str, str], expected: list[str]
) -> None:
    agent = make_agent(viewer.organization)
    make_task(viewer.organization, title="a", priority="high")
    change(make_task(viewer.organization, title="b"), status="queued")
    make_task(viewer.organization, title="c", priority="high", agent=agent)

    answer = api(viewer).get(PATH, **{k: v.format(agent=agent.pk) for k, v in query.items()})

    assert titles(answer) == expected


def test_stats_name_every_status_and_priority(api: Api, viewer: User, stranger: User) -> None:
    make_task(viewer.organization, priority="low")
    make_task(viewer.organization)
    change(make_task(viewer.organization), status="cancelled")
    make_task(stranger.organization)

    body = api(viewer).get(f"{PATH}stats").json()

    assert body == {
        "total": 3,
        "by_status": {**dict.fromkeys(TaskStatus.values, 0), "pending": 2, "cancelled": 1},
        "by_priority": {**dict.fromkeys(TaskPriority.values, 0), "low": 1, "medium": 2},
    }
