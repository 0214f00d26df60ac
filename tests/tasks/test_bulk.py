"""`POST /api/v1/tasks/bulk`: many tasks, all or none, at the price of one."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock, jobs, redis_client
from tasks.models import Task
from tasks.operations import requests
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, make_agent
from tests.clients import ApiClient
from tests.footprint import footprint
from tests.tasks.factories import make_task

PATH = "/api/v1/tasks/bulk"
Api = Callable[[User | None], ApiClient]


@pytest.fixture
def unwritten() -> Iterator[Callable[[], None]]:
    """Call it when all is prepared: the test then fails if any row differs at its end."""
    before: list[Any] = []
    yield lambda: before.append(footprint())
    assert before == [footprint()]


def test_many_tasks_are_written_in_the_order_of_the_request(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization)
    OutboxEvent.objects.all().delete()
    sent: list[dict[str, Any]] = [{"title": str(number)} for number in range(3)]
    sent[1] |= {"agent_id": str(agent.pk), "priority": "high", "metadata": {"a": 1}}

    answer = api(operator).post(PATH, {"tasks": sent})

    tasks = list(Task.objects.order_by("pk"))
    assert answer.status_code == 201
    assert answer.json() == {
        "items": [{"id": str(task.pk), "status": task.status} for task in tasks],
        "created": 3,
    }
    assert [task.title for task in tasks] == ["0", "1", "2"]
    assert [task.status for task in tasks] == ["pending", "assigned", "pending"]
    assert (tasks[1].agent_id, tasks[1].priority_rank, tasks[1].metadata) == (
        agent.pk,
        1,
        {"a": 1},
    )
    assert tasks[1].assigned_by == f"user:{operator.pk}"
    audited = AuditEvent.objects.filter(action="task.create").order_by("pk")
    assert [(row.resource_id, row.details) for row in audited] == [
        (str(task.pk), {"title": task.title}) for task in tasks
    ]
    assert {(row.actor_id, row.request_id) for row in audited} == {
        (str(operator.pk), answer["X-Request-ID"])
    }
    told = OutboxEvent.objects.order_by("pk")
    assert [(event.type, event.data["id"]) for event in told] == [
        ("task.created", str(task.pk)) for task in tasks
    ]


def test_each_error_names_the_index(
    api: Api, operator: User, unwritten: Callable[[], None]
) -> None:
    client = api(operator)
    unwritten()

    answer = client.post(PATH, {"tasks": [{"title": "x"}, {"title": ""}, {"priority": "odd"}]})

    fields = [error["field"] for error in answer.json()["errors"]]
    assert (answer.status_code, answer.json()["code"]) == (422, "validation.invalid")
    assert fields == ["tasks.1.title", "tasks.2.title", "tasks.2.priority"]


def test_what_only_the_operation_knows_is_named_too(
    api: Api, operator: User, stranger: User, unwritten: Callable[[], None]
) -> None:
    foreign, bare = make_agent(stranger.organization), make_agent(operator.organization)
    client = api(operator)
    unwritten()
    wrong: list[dict[str, Any]] = [
        {"agent_id": str(uuid4())},
        {"agent_id": str(foreign.pk)},
        {"deadline": "2000-01-01T00:00:00Z"},
        {"required_tools": ["no_such_tool"]},
        {"agent_id": str(bare.pk), "required_tools": ["calculator"]},
    ]

    answer = client.post(PATH, {"tasks": [{"title": "good"}, *({"title": "x"} | w for w in wrong)]})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [
        "tasks.1.agent_id",
        "tasks.2.agent_id",
        "tasks.3.deadline",
        "tasks.4.required_tools",
        "tasks.5.required_tools",
    ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["tasks"]),
        ([], ["body"]),
        ({"tasks": []}, ["tasks"]),
        ({"tasks": {"title": "x"}}, ["tasks"]),
        ({"tasks": ["x"]}, ["tasks.0"]),
        ({"tasks": [{"title": "x"}] * 1001}, ["tasks"]),
    ],
    ids=["nothing", "list", "empty", "one", "text", "1001"],
)
def test_a_body_of_another_shape_is_422(
    api: Api, operator: User, body: Any, fields: list[str], unwritten: Callable[[], None]
) -> None:
    client = api(operator)
    unwritten()

    answer = client.post(PATH, body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == fields


def test_a_thousand_take_no_more_statements_than_two(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization)
    client = api(operator).known()
    counted = []
    make_task(operator.organization, agent=agent)  # loads the version

    for number in (2, 1000):
        tasks = [{"title": str(n), "agent_id": str(agent.pk)} for n in range(number)]
        with CaptureQueriesContext(connection) as queries:
            answer = client.post(PATH, {"tasks": tasks})
        assert (answer.status_code, answer.json()["created"]) == (201, number)
        counted.append(len(queries))

    assert counted == [4, 4]


@pytest.mark.django_db(transaction=True)
def test_many_tasks_ring_each_bell_once_and_after_the_commit() -> None:
    home: Organization = make_organization()
    agent = make_agent(home)
    bells = [f"hub:doorbell:tasks.{job}_tasks" for job in ("claim", "sweep")]
    redis = redis_client.client()
    redis.flushall()
    jobs._rung.clear()

    with transaction.atomic():
        requests.create_tasks(
            organization_id=home.pk,
            values=[{"title": "x", "agent_id": a} for a in (agent.pk, None) * 5],
            actor=PERSON,
            now=clock.now(),
        )
        rung_before = redis.exists(*bells)

    assert (rung_before, redis.exists(*bells)) == (0, 2)
    assert [redis.llen(queue) for queue in ("tasks", "housekeeping")] == [1, 2]


def test_a_viewer_may_not(api: Api, viewer: User) -> None:
    assert api(viewer).post(PATH, {"tasks": [{"title": "x"}]}).status_code == 403
    assert api(None).post(PATH, {"tasks": [{"title": "x"}]}).status_code == 401
    assert not Task.objects.exists()
