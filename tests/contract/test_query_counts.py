"""What a list costs: the same number of queries, whatever it holds."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from agents.operations import registry
from kernel import clock
from tasks.models import Task
from tasks.operations import endings
from tests.agents.factories import PERSON, failed, make_agent
from tests.clients import ApiClient
from tests.contract.test_rows import described
from tests.knowledge import factories as knowledge
from tests.tasks.factories import claim_one, make_task

Api = Callable[[User | None], ApiClient]
HOUR: Final = timedelta(hours=1)
# The rows; before them the object that they belong to, after them what they are shown with. Who
# calls is known from the request before.
LISTS: Final = {
    "/api/v1/agents": 1,
    "/api/v1/agents/{}/versions": 2,
    "/api/v1/executions": 1,
    "/api/v1/knowledge": 1,
    "/api/v1/tasks": 1,
    "/api/v1/tasks/{}/attempts": 3,
}


@pytest.fixture
def task(organization: Organization) -> Task:
    """A task with an agent of its own."""
    return make_task(organization, agent=make_agent(organization), max_retries=99)


def add_rows(task: Task, count: int) -> None:
    """`count` rows more in each list."""
    began = clock.now()
    for number in range(count):
        now = began + (number + task.attempts.count()) * HOUR
        endings.settle_attempt(claim=claim_one(task, now=now), result=failed(), now=now)
        make_task(task.organization, agent=make_agent(task.organization, started=False))
        knowledge.entry(task.organization, title=f"Entry {number}")
        registry.update_agent(
            organization_id=task.organization_id,
            agent_id=task.agent_id,  # type: ignore[arg-type]  # it has one
            values={"max_tokens": 1 + task.attempts.count()},
            actor=PERSON,
            now=now,
        )


def count(client: ApiClient, path: str, **query: Any) -> tuple[int, int]:
    """How many rows were listed, and by how many queries."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path, **query)
    return len(answer.json()["items"]), len(queries)


def test_every_list_is_counted() -> None:
    lists = {
        path
        for (method, path), operation in described().items()
        if method == "GET" and "Paginated" in str(operation["responses"].get("200"))
    }

    assert lists == set(LISTS)


def test_lists_take_the_same_queries_however_long(api: Api, viewer: User, task: Task) -> None:
    client = api(viewer).known()
    paths = {path: path.format(task.agent_id if "agents" in path else task.pk) for path in LISTS}
    counted = []

    for more in (1, 29):
        add_rows(task, more)
        counted.append({path: count(client, paths[path]) for path in LISTS})

    few, many = counted
    assert max(rows for rows, _ in few.values()) <= 2
    assert min(rows for rows, _ in many.values()) >= 30
    assert {path: queries for path, (_, queries) in few.items()} == LISTS
    assert {path: queries for path, (_, queries) in many.items()} == LISTS


def test_a_page_of_many_takes_one_more_to_count_them(api: Api, viewer: User, task: Task) -> None:
    client = api(viewer).known()
    add_rows(task, 2)

    for path, queries in LISTS.items():
        asked = path.format(task.agent_id if "agents" in path else task.pk)
        assert count(client, asked, limit=1) == (1, queries + 1), path
