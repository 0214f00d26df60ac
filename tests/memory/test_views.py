"""Memory over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from agents.models import Agent
from audit.models import AuditEvent
from kernel import clock
from memory.models import Memory
from tests.accounts.factories import make_organization
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.memory.factories import make_memory

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """Who remembers."""
    return make_agent(organization)


def of(agent: Agent) -> str:
    return f"/api/v1/agents/{agent.pk}/memories"


def test_a_memory_is_written(api: Api, admin: User, agent: Agent) -> None:
    body = {"content": "The client likes short mails.", "category": "preference", "importance": 8}

    answer = api(admin).post(of(agent), {**body, "metadata": {"from": "call"}})

    memory = Memory.objects.get()
    shown = answer.json()
    assert answer.status_code == 201
    assert {name: shown[name] for name in body} == body
    assert (shown["id"], shown["agent_id"], shown["metadata"], shown["execution_id"]) == (
        str(memory.pk),
        str(agent.pk),
        {"from": "call"},
        None,
    )
    event = AuditEvent.objects.get(action="memory.save")
    assert "short mails" not in str(event.details)


@pytest.mark.parametrize(("asked", "kept"), [(0, 1), (-5, 1), (11, 10), (7, 7)])
def test_importance_is_taken_as_the_nearest(
    api: Api, admin: User, agent: Agent, asked: int, kept: int
) -> None:
    answer = api(admin).post(of(agent), {"content": "A.", "importance": asked})

    assert answer.json()["importance"] == kept


def test_the_same_text_again_changes_the_rest(api: Api, admin: User, agent: Agent) -> None:
    client = api(admin)
    first = client.post(of(agent), {"content": "A."}).json()

    second = client.post(of(agent), {"content": "A.", "importance": 9}).json()

    assert (second["id"], second["importance"]) == (first["id"], 9)
    assert Memory.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": " "},
        {"content": "a" * 10_001},
        {"content": "A.", "category": "secret"},
        {"content": "A.", "importance": "much"},
        {"content": "A.", "agent_id": "x"},
        {"content": "A.", "metadata": []},
    ],
)
def test_a_bad_one_is_refused_and_changes_nothing(
    api: Api, admin: User, agent: Agent, body: dict[str, Any]
) -> None:
    assert api(admin).post(of(agent), body).status_code == 422
    assert not Memory.objects.exists()


def test_the_most_important_come_first_of_those_the_newest(
    api: Api, admin: User, agent: Agent
) -> None:
    now = clock.now()
    make_memory(agent, content="old", now=now)
    make_memory(agent, content="new", now=now + timedelta(seconds=1))
    make_memory(agent, content="vital", importance=10, now=now - timedelta(days=1))
    make_memory(make_agent(agent.organization), content="another's")

    items = api(admin).get(of(agent)).json()["items"]

    assert [item["content"] for item in items] == ["vital", "new", "old"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"category": "fact"}, ["The sky is BLUE."]),
        ({"search": "blue"}, ["The sky is BLUE."]),
        ({"search": "%"}, []),
        ({"limit": "1"}, ["Deploy by hand."]),
    ],
)
def test_the_list_is_filtered(
    api: Api, admin: User, agent: Agent, query: dict[str, str], found: list[str]
) -> None:
    make_memory(agent, content="The sky is BLUE.", category="fact", importance=1)
    make_memory(agent, content="Deploy by hand.", category="procedure")

    items = api(admin).get(of(agent), **query).json()["items"]

    assert [item["content"] for item in items] == found


def test_one_is_changed_and_deleted(api: Api, admin: User, agent: Agent) -> None:
    memory = make_memory(agent)
    client = api(admin)
    path = f"/api/v1/agents/memories/{memory.pk}"

    changed = client.put(path, {"content": "On Mondays.", "importance": 99})
    answers = [client.delete(path).status_code for _ in range(2)]

    assert (changed.json()["content"], changed.json()["importance"]) == ("On Mondays.", 10)
    assert changed.json()["category"] == "general"
    assert answers == [204, 404]
    assert not Memory.objects.exists()


def test_a_text_that_is_remembered_already_is_409(api: Api, admin: User, agent: Agent) -> None:
    make_memory(agent, content="A.")
    other = make_memory(agent, content="B.")

    answer = api(admin).put(f"/api/v1/agents/memories/{other.pk}", {"content": "A."})

    other.refresh_from_db()
    assert (answer.status_code, answer.json()["code"]) == (409, "memory.taken")
    assert other.content == "B."


def test_the_statistics(api: Api, admin: User, agent: Agent) -> None:
    make_memory(agent, content="1234567890", category="fact", importance=10)
    make_memory(agent, content="12345", importance=5)

    stats = api(admin).get(f"/api/v1/agents/{agent.pk}/memory-stats").json()

    assert stats == {
        "agent_id": str(agent.pk),
        "total_count": 2,
        "categories": {"fact": 1, "preference": 0, "procedure": 0, "context": 0, "general": 1},
        "avg_importance": 7.5,
        "total_characters": 15,
        "estimated_storage_kb": 0.8,
    }


def test_pruning_forgets_the_least_important(api: Api, admin: User, agent: Agent) -> None:
    for importance in (1, 2, 9, 5):
        make_memory(agent, content=f"{importance}", importance=importance)
    client = api(admin)

    answer = client.post(f"{of(agent)}/prune", {"keep": 2})

    left = [item["content"] for item in client.get(of(agent)).json()["items"]]
    assert (answer.json(), left) == ({"pruned_count": 2}, ["9", "5"])


def test_beyond_the_limit_the_least_important_go_but_never_the_new_one(
    api: Api, admin: User, agent: Agent
) -> None:
    client = api(admin)
    client.put("/api/v1/settings/general/memories_per_agent", {"value": 2})
    for importance in (3, 9):
        make_memory(agent, content=f"{importance}", importance=importance)

    make_memory(agent, content="1", importance=1)

    left = [item["content"] for item in client.get(of(agent)).json()["items"]]
    assert left == ["9", "1"]


def test_another_organizations_memory_is_not_found(api: Api, admin: User) -> None:
    theirs = make_memory(make_agent(make_organization()))
    client = api(admin)
    path = f"/api/v1/agents/memories/{theirs.pk}"

    answers = [
        client.get(of(theirs.agent)).status_code,
        client.post(of(theirs.agent), {"content": "A."}).status_code,
        client.post(f"{of(theirs.agent)}/prune", {"keep": 0}).status_code,
        client.put(path, {"content": "A."}).status_code,
        client.delete(path).status_code,
        client.delete(f"/api/v1/agents/memories/{uuid4()}").status_code,
    ]

    assert answers == [404] * 6
    assert Memory.objects.get().content == theirs.content
