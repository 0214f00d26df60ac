"""What a list costs: the same number of queries, whatever it holds."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import IpRule, Organization, Role, RoleAssignment, User
from agents.models import AgentOverride
from agents.operations import registry
from audit import operations as audit
from kernel import clock
from projects.models import Project
from tasks.models import Task
from tasks.operations import endings
from tests.accounts.factories import make_key, make_token, make_user
from tests.agents.factories import PERSON, change_override, failed, make_agent, make_override
from tests.approvals.factories import ask, make_rule
from tests.breakers.factories import make_breaker
from tests.clients import ApiClient
from tests.contract.test_rows import described
from tests.cost.factories import make_budget, make_price
from tests.dead_letters.factories import make_dead
from tests.knowledge import factories as knowledge
from tests.limits.factories import make_limit
from tests.memory.factories import make_memory
from tests.projects.factories import make_environment, make_project
from tests.tasks.factories import claim_one, make_task
from tests.tools.factories import make_source, make_tool

Api = Callable[[User | None], ApiClient]
HOUR: Final = timedelta(hours=1)
# The rows; before them the object that they belong to, after them what they are shown with. Who
# calls is known from the request before.
LISTS: Final = {
    "/api/v1/admin/audit": 1,
    "/api/v1/admin/users": 1,
    "/api/v1/agent-overrides/{}/revisions": 2,
    "/api/v1/agents": 1,
    "/api/v1/agents/{}/memories": 2,
    "/api/v1/agents/{}/versions": 2,
    "/api/v1/approval-rules": 1,
    "/api/v1/approvals": 1,
    "/api/v1/audit-events": 1,
    "/api/v1/audit-events/checkpoints": 1,
    "/api/v1/auth/sessions": 2,
    "/api/v1/budgets": 2,
    "/api/v1/circuit-breakers": 1,
    "/api/v1/dead-letter": 1,
    "/api/v1/environments": 1,
    "/api/v1/executions": 1,
    "/api/v1/knowledge": 1,
    "/api/v1/limits": 2,
    "/api/v1/prices": 1,
    "/api/v1/projects": 1,
    "/api/v1/projects/{}/environments": 2,
    "/api/v1/roles": 1,
    "/api/v1/security/api-keys": 1,
    "/api/v1/security/ip-rules": 1,
    "/api/v1/security/sessions": 2,
    "/api/v1/tasks": 1,
    "/api/v1/tasks/{}/attempts": 3,
    "/api/v1/tool-sources": 1,
    "/api/v1/tools": 1,
    "/api/v1/user-roles": 1,
    "/api/v1/users/{}/roles": 2,
    "/v1/agentexecutions": 1,
    "/v1/agentoverrides": 1,
    "/v1/toolcatalog": 1,
}
# Lists that hold more than `add_rows` makes are asked for a part.
PARTS: Final = {
    "/api/v1/admin/audit": {"action": "knowledge.create"},
    "/api/v1/audit-events": {"action": "knowledge.create"},
    "/api/v1/agents": {"limit": "100"},
    "/api/v1/executions": {"limit": "100"},
    "/api/v1/tasks": {"limit": "100"},
    "/api/v1/user-roles": {"limit": "100"},
    "/v1/agentexecutions": {"pageRowCount": "100"},
    "/v1/agentoverrides": {"pageRowCount": "100"},
    "/v1/toolcatalog": {"pageRowCount": "100"},
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
        make_environment(first_project(task), name=f"Environment at {now}")
        make_project(task.organization)
        make_breaker(task.organization, name=f"host:{count}.{number}")
        make_limit(task.organization, name=f"key-{count}.{number}", max_concurrent=1)
        idle = make_agent(task.organization, started=False)
        make_budget(task.organization, scope="agent", subject_id=idle.pk)
        make_price(task.organization, model=f"model-{count}.{number}")
        make_override(task.organization)
        make_tool(make_source(task.organization, name=f"source{count}-{number}"))
        change_override(first_override(task), max_tokens=1 + task.attempts.count())
        make_dead(task.organization, now=now)
        make_memory(task.agent, content=f"{now}")  # type: ignore[arg-type]  # it has one
        ask(task.organization, now=now)
        make_rule(task.organization)
        audit.seal_events(now=now)
        add_role(task.organization, str(now))
        add_rule(task.organization)
        make_token(first_user(task.organization))
        make_key(first_user(task.organization), "read")
        registry.update_agent(
            organization_id=task.organization_id,
            agent_id=task.agent_id,  # type: ignore[arg-type]  # it has one
            values={"max_tokens": 1 + task.attempts.count()},
            actor=PERSON,
            now=now,
        )


def add_role(organization: Organization, name: str) -> None:
    """Somebody more, a role more, and that held once more by somebody who was there before."""
    make_user(organization)
    RoleAssignment.objects.create(
        organization=organization,
        user=first_user(organization),
        role=Role.objects.create(organization=organization, name=name),
    )


def add_rule(organization: Organization) -> None:
    """A network more that is kept out."""
    position = IpRule.objects.filter(organization=organization).count()
    IpRule.objects.create(
        organization=organization, cidr=f"10.{position}.0.0/16", action="deny", position=position
    )


def first_user(organization: Organization) -> User:
    """Who holds many roles."""
    return User.objects.filter(organization=organization).earliest("created_at", "pk")


def first_project(task: Task) -> Project:
    """The project that has environments."""
    found = Project.objects.filter(organization=task.organization).order_by("pk").first()
    return found or make_project(task.organization)


def first_override(task: Task) -> AgentOverride:
    """The override that has revisions."""
    return AgentOverride.objects.filter(organization=task.organization).earliest("created_at", "pk")


def address(path: str, task: Task) -> str:
    """`path` with the id of the object that its rows belong to."""
    if "/projects/{" in path:
        return path.format(first_project(task).pk)
    if "/agent-overrides/{" in path:
        return path.format(first_override(task).pk)
    if "/users/{" in path:
        return path.format(first_user(task.organization).pk)
    return path.format(task.agent_id if "/agents/{" in path else task.pk)


def count(client: ApiClient, path: str, **query: Any) -> tuple[int, int]:
    """How many rows were listed, and by how many queries."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path, **query)
    body = answer.json()
    return len(body.get("items", body.get(body.get("dataName")))), len(queries)


def test_every_list_is_counted() -> None:
    lists = {
        path
        for (method, path), operation in described().items()
        if method == "GET" and "Page'}" in str(operation["responses"].get("200"))
    }

    assert lists == set(LISTS)


def test_lists_take_the_same_queries_however_long(api: Api, admin: User, task: Task) -> None:
    client, counted = api(admin), []

    for more in (1, 29):
        add_rows(task, more)
        paths = {path: address(path, task) for path in LISTS}
        client.known()  # anew: making rows takes longer than a caller is remembered
        counted.append({p: count(client, paths[p], **PARTS.get(p, {})) for p in LISTS})

    few, many = counted
    assert min(many[path][0] - few[path][0] for path in LISTS) >= 29
    assert {path: queries for path, (_, queries) in few.items()} == LISTS
    assert {path: queries for path, (_, queries) in many.items()} == LISTS


def test_a_page_of_many_takes_one_more_to_count_them(api: Api, admin: User, task: Task) -> None:
    client = api(admin)
    add_rows(task, 2)
    client.known()

    for path, queries in LISTS.items():
        asked = address(path, task)
        size = "pageRowCount" if path.startswith("/v1/") else "limit"
        assert count(client, asked, **{size: 1}) == (1, queries + 1), path
