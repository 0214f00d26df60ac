"""`/api/v1/dead-letter` over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from kernel import clock
from tasks.models import Task, TaskAttempt
from tasks.operations.endings import settle_attempt
from tests.accounts.factories import make_organization
from tests.agents.factories import answered, make_agent
from tests.clients import ApiClient
from tests.dead_letters.factories import make_dead
from tests.tasks.factories import claim_one, make_task

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
LETTERS = "/api/v1/dead-letter"


def test_the_list_shows_tasks_with_their_history(
    api: Api, admin: User, organization: Organization
) -> None:
    now = clock.now()
    task = make_dead(organization, now=now, priority="high", metadata={"ticket": 7})
    make_dead(make_organization())

    (item,) = api(admin).get(LETTERS).json()["items"]

    assert (item["id"], item["title"], item["status"]) == (str(task.pk), "Say hello", "failed")
    assert (item["error"], item["retry_count"], item["max_retries"]) == (
        "The provider is away.",
        0,
        0,
    )
    assert (item["agent_id"], item["priority"]) == (str(task.agent_id), "high")
    assert {**item["metadata"], "first_failed_at": ""} == {
        "ticket": 7,
        "first_failed_at": "",
        "last_error": "The provider is away.",
        "redrive_count": 0,
        "redriven_by": "",
    }


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({"error_type": "provider_unavailable"}, ["Late", "Early"]),
        ({"error_type": "timeout"}, []),
        ({"priority": "low"}, ["Late"]),
        ({"skip": "1"}, ["Early"]),
    ],
)
def test_the_list_is_filtered_and_paged(
    api: Api, admin: User, organization: Organization, query: dict[str, str], titles: list[str]
) -> None:
    now = clock.now()
    make_dead(organization, title="Early", now=now)
    make_dead(organization, title="Late", now=now + timedelta(seconds=1), priority="low")

    items = api(admin).get(LETTERS, **query).json()["items"]

    assert [item["title"] for item in items] == titles


def test_a_retried_one_begins_anew_and_a_second_retry_is_409(
    api: Api, admin: User, organization: Organization
) -> None:
    deadline = clock.now() + timedelta(seconds=20)
    task = make_dead(organization, deadline=deadline)
    Task.objects.update(deadline=clock.now() - timedelta(seconds=1))
    client = api(admin)

    answer = client.post(f"{LETTERS}/{task.pk}/retry")
    again = client.post(f"{LETTERS}/{task.pk}/retry")

    assert answer.json() == {
        "id": str(task.pk),
        "title": "Say hello",
        "status": "assigned",
        "message": "The task is back at work, with all its retries.",
    }
    task.refresh_from_db()
    assert (task.retry_count, task.error, task.result, task.completed_at, task.deadline) == (
        0,
        "",
        None,
        None,
        None,
    )
    assert (again.status_code, again.json()["code"]) == (409, "dead_letter.already_redriven")
    assert AuditEvent.objects.filter(action="dead_letter.redrive").count() == 1


def test_one_whose_agent_is_gone_goes_to_whoever_fits(
    api: Api, admin: User, organization: Organization
) -> None:
    task = make_dead(organization)
    client = api(admin)
    client.post(f"/api/v1/agents/{task.agent_id}/stop")
    client.delete(f"/api/v1/agents/{task.agent_id}")

    answer = client.post(f"{LETTERS}/{task.pk}/retry")

    task.refresh_from_db()
    assert (answer.json()["status"], task.agent_id) == ("pending", None)


def test_retry_all_takes_those_that_wait_longest(
    api: Api, admin: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrives, "REDRIVE_CAP", 2)
    now = clock.now()
    for number in range(3):
        make_dead(organization, title=f"{number}", now=now + timedelta(seconds=number))
    client = api(admin)

    first = client.post(f"{LETTERS}/retry-all").json()
    left = client.get(LETTERS).json()["items"]
    second = client.post(f"{LETTERS}/retry-all").json()

    assert (first["retried_count"], first["has_more"]) == (2, True)
    assert [item["title"] for item in left] == ["2"]
    assert second == {
        "retried_count": 1,
        "has_more": False,
        "message": "1 tasks are back at work.",
    }


def test_retry_all_of_a_group_leaves_the_others(
    api: Api, admin: User, organization: Organization
) -> None:
    one = make_dead(organization, message="No answer in 30 s.")
    make_dead(organization, message="No answer in 45 s.")
    make_dead(organization, message="The key was refused.")
    client = api(admin)
    groups = client.get(f"{LETTERS}/groups").json()["items"]

    done = client.post(f"{LETTERS}/retry-all", {"group": groups[0]["group"]}).json()

    assert [(group["count"], group["error_type"]) for group in groups] == [
        (2, "provider_unavailable"),
        (1, "provider_unavailable"),
    ]
    assert done["retried_count"] == 2
    assert DeadLetter.objects.get(status="open").last_error == "The key was refused."
    assert DeadLetter.objects.get(task=one).status == "redriven"


def test_a_failed_task_is_added_by_hand(api: Api, admin: User, organization: Organization) -> None:
    task = make_dead(organization)
    client = api(admin)
    removed = client.delete(f"{LETTERS}/{task.pk}")

    added = client.post(LETTERS, {"task_id": str(task.pk)})
    again = client.post(LETTERS, {"task_id": str(task.pk)})

    assert removed.status_code == 204
    assert (added.status_code, added.json()["failures"]) == (201, 2)
    assert (again.status_code, again.json()["code"]) == (409, "dead_letter.already_there")


def test_a_running_task_is_given_up_with_a_reason(
    api: Api, admin: User, organization: Organization
) -> None:
    task = make_task(organization, agent=make_agent(organization))
    claim_one(task)
    client = api(admin)

    refused = client.post(LETTERS, {"task_id": str(task.pk)})
    added = client.post(LETTERS, {"task_id": str(task.pk), "reason": "Runs in circles."})

    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter.task_not_failed")
    assert (added.status_code, added.json()["error"], added.json()["reason"]) == (
        201,
        "Given up: Runs in circles.",
        "Runs in circles.",
    )
    task.refresh_from_db()
    assert (task.status, task.error_kind, task.lease_expires_at) == ("failed", "given_up", None)
    assert TaskAttempt.objects.get().outcome == "cancelled"


def test_what_came_to_its_end_is_no_dead_letter(
    api: Api, admin: User, organization: Organization
) -> None:
    task = make_task(organization, agent=make_agent(organization))
    settle_attempt(claim=claim_one(task), result=answered(), now=clock.now())

    refused = api(admin).post(LETTERS, {"task_id": str(task.pk), "reason": "Over."})

    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter.task_not_failed")
    assert refused.json()["detail"].startswith("The task is completed.")


def test_a_removed_one_is_gone_but_its_task_stays(
    api: Api, admin: User, organization: Organization
) -> None:
    task = make_dead(organization)
    client = api(admin)

    answers = [client.delete(f"{LETTERS}/{task.pk}").status_code for _ in range(2)]

    assert answers == [204, 404]
    assert client.post(f"{LETTERS}/{task.pk}/retry").status_code == 404
    assert client.get(LETTERS).json()["items"] == []
    assert Task.objects.get().status == "failed"


def test_the_statistics(api: Api, admin: User, organization: Organization) -> None:
    now = clock.now()
    make_dead(organization, now=now, priority="critical")
    make_dead(organization, now=now + timedelta(hours=1))
    make_dead(make_organization())
    DeadLetter.objects.filter(priority="critical").update(error_type="guardrail_tokens")

    stats = api(admin).get(f"{LETTERS}/stats").json()

    assert stats.pop("oldest_entry")
    assert stats == {
        "total": 2,
        "retryable": 1,
        "by_priority": {"critical": 1, "high": 0, "medium": 1, "low": 0},
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"task_id": "no"}, 422),
        ({"task_id": str(uuid4())}, 404),
        ({"task_id": str(uuid4()), "why": "x"}, 422),
    ],
)
def test_a_bad_addition_changes_nothing(
    api: Api, admin: User, body: dict[str, str], status: int
) -> None:
    assert api(admin).post(LETTERS, body).status_code == status
    assert not DeadLetter.objects.exists()


def test_another_organizations_letter_is_not_found(
    api: Api, admin: User, organization: Organization
) -> None:
    theirs = make_dead(make_organization())
    client = api(admin)

    answers = [
        client.post(f"{LETTERS}/{theirs.pk}/retry").status_code,
        client.delete(f"{LETTERS}/{theirs.pk}").status_code,
        client.post(LETTERS, {"task_id": str(theirs.pk)}).status_code,
        client.post(f"{LETTERS}/retry-all").json()["retried_count"],
    ]

    assert answers == [404, 404, 404, 0]
    assert DeadLetter.objects.get().status == "open"
