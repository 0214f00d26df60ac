"""What Django answers to whoever begins a run; the front's part is in tests/hub/front."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import User
from agents.models import Agent
from runs.operations.waiting import Ticket
from tasks.models import Task
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.tools.factories import make_source, make_tool

Api = Callable[[User | None], ApiClient]


@pytest.fixture
def agent(operator: User) -> Agent:
    """A started agent."""
    return make_agent(operator.organization, name="Reckoner")


def run(agent: Agent, door: str = "run") -> str:
    return f"/api/v1/agents/{agent.pk}/{door}"


@pytest.mark.parametrize(("door", "source"), [("run", "rest"), ("stream", "sse")])
def test_a_run_is_begun_and_its_ticket_left(
    api: Api, operator: User, agent: Agent, door: str, source: str
) -> None:
    answer = api(operator).post(run(agent, door), {"prompt": "Say hello."})

    task = Task.objects.get()
    ticket: Ticket = answer.ticket
    assert answer.status_code == 202
    assert answer.json() == {
        "task_id": str(task.pk),
        "conversation_id": str(task.conversation_id),
    }
    assert (task.source, task.user_id) == (source, operator.pk)
    assert (ticket.task_id, ticket.user_id) == (task.pk, operator.pk)
    assert (ticket.is_stream, ticket.outlives_client) == (door == "stream", False)
    assert str(ticket.actor) == f"user:{operator.pk}"


def test_a_repeated_request_is_the_same_run(api: Api, operator: User, agent: Agent) -> None:
    key = {"Idempotency-Key": str(uuid4())}

    answers = [
        api(operator).post(run(agent), {"message": "Say hello."}, headers=key) for _ in range(2)
    ]

    tickets: list[Ticket] = [answer.ticket for answer in answers]
    task = Task.objects.get()
    assert [ticket.task_id for ticket in tickets] == [task.pk] * 2
    assert all(ticket.outlives_client for ticket in tickets)
    assert answers[1].headers["Idempotency-Replayed"] == "true"


def nested(levels: int) -> dict[str, Any]:
    """One schema in another."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"not": found}
    return found


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["prompt"]),
        ({"prompt": ""}, ["prompt"]),
        ({"prompt": "a", "message": "b"}, ["message"]),
        ({"prompt": "a", "model": "x"}, ["model"]),
        ({"prompt": "a", "conversation_id": "x"}, ["conversation_id"]),
        ({"prompt": "a", "timeout_seconds": 601}, ["timeout_seconds"]),
        ({"prompt": "a", "timeout_seconds": 0}, ["timeout_seconds"]),
        ({"prompt": "a", "output_schema": []}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"type": "nothing"}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"const": "\x00"}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"const": "x" * 64_000}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"$ref": "http://127.0.0.1/a"}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"$ref": "file:///etc/passwd"}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": {"pattern": "^(a+)+$"}}, ["output_schema"]),
        ({"prompt": "a", "output_schema": nested(300)}, ["output_schema"]),
    ],
)
def test_what_makes_no_sense_is_refused(
    api: Api, operator: User, agent: Agent, body: dict[str, Any], fields: list[str]
) -> None:
    answer = api(operator).post(run(agent), body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert not Task.objects.exists()


def test_who_may_not_run_begins_nothing(
    api: Api, viewer: User, stranger: User, agent: Agent
) -> None:
    for who, status in [(None, 401), (viewer, 403), (stranger, 404)]:
        for path in (run(agent), run(agent, "stream")):
            assert api(who).post(path, {"prompt": "a"}).status_code == status
    assert not Task.objects.exists()


def test_refusals_before_the_run_are_http(api: Api, operator: User) -> None:
    asleep = make_agent(operator.organization, started=False)
    unknown = {"prompt": "a", "conversation_id": str(uuid4())}

    stopped = api(operator).post(run(asleep), {"prompt": "a"})
    lost = api(operator).post(run(asleep), unknown)

    assert (stopped.status_code, stopped.json()["code"]) == (409, "run.agent_not_started")
    assert (lost.status_code, lost.json()["code"]) == (404, "conversation.not_found")
    assert not hasattr(stopped, "ticket")


def test_direct_runs_are_found_among_the_tasks(api: Api, operator: User, agent: Agent) -> None:
    api(operator).post(run(agent), {"prompt": "a"})
    api(operator).post("/api/v1/tasks", {"title": "b", "agent_id": str(agent.pk)})

    listed = api(operator).get("/api/v1/tasks").json()["items"]
    direct = api(operator).get("/api/v1/tasks", source="rest").json()["items"]

    assert [task["source"] for task in listed] == ["queue", "rest"]
    assert [task["title"] for task in direct] == ["Run of Reckoner: a"]
    assert direct[0]["user_id"] == str(operator.pk)


@pytest.mark.parametrize("door", ["", "/stream"])
def test_agents_are_asked_by_name(api: Api, operator: User, agent: Agent, door: str) -> None:
    first = api(operator).post(f"/agents/Reckoner{door}", {"message": "a", "more": 1})

    conversation = first.json()["conversation_id"]
    body = {"prompt": "b", "sessionId": conversation}
    second = api(operator).post(f"/agents/Reckoner{door}/", body)

    assert (first.status_code, second.status_code) == (202, 202)
    assert {task.conversation_id for task in Task.objects.all()} == {UUID(conversation)}


def test_by_name_the_words_are_those_of_seed_004(
    api: Api, viewer: User, operator: User, stranger: User, agent: Agent
) -> None:
    path, body = "/agents/Reckoner", {"prompt": "a"}

    refused = [
        api(None).post(path, body),
        api(operator).post(path, {}),
        api(viewer).post(path, body),
        api(stranger).post(path, body),
        api(operator).post("/agents/Nobody", body),
    ]

    assert [(answer.status_code, answer.json()["message"]) for answer in refused] == [
        (401, "Authentication required"),
        (400, "errMsg_promptisRequired"),
        (403, "errMsg_ForbiddenAccess"),
        (404, "errMsg_RecordNotFound"),
        (404, "errMsg_RecordNotFound"),
    ]
    assert all(answer.json()["result"] == "ERR" for answer in refused)
    assert not Task.objects.exists()


def test_tools_are_listed_by_name(api: Api, viewer: User) -> None:
    make_tool(make_source(viewer.organization))

    told = api(viewer).get("/tools").json()

    assert (told["success"], told["count"]) == (True, len(told["tools"]))
    assert {
        "toolName": "weather:forecast",
        "serviceName": "weather",
        "description": "The weather of the days to come.",
    } in told["tools"]


def test_an_administrator_has_sources_asked_again(api: Api, admin: User, operator: User) -> None:
    source = make_source(admin.organization)
    make_source(admin.organization, name="asleep", is_enabled=False)

    refused = api(operator).post("/tools/refresh")
    told = api(admin).post("/tools/refresh/")

    source.refresh_from_db()
    assert refused.status_code == 403
    assert told.json() == {"success": True, "message": "1 sources are asked.", "count": 1}
    assert source.next_refresh_at is not None


def test_an_administrator_has_an_agent_read_anew(
    api: Api, admin: User, operator: User, agent: Agent
) -> None:
    refused = api(operator).post("/agents/Reckoner/invalidate")
    told = api(admin).post("/agents/Reckoner/invalidate")
    nobody = [api(admin).post(f"/agents/{name}/invalidate") for name in ("Nobody", "a%00b")]

    assert (refused.status_code, *(each.status_code for each in nobody)) == (403, 404, 404)
    assert told.json() == {"success": True, "message": "Agent Reckoner is read anew."}
