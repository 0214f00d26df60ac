"""Routes of `/api/v1/agents` and `/api/v1/executions`: shapes and filters."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from agents.models import AgentVersion
from kernel import clock
from tasks.operations import endings
from tests.agents.factories import answered, make_agent
from tests.clients import ApiClient
from tests.tasks.factories import claim_one, make_task

AGENTS = "/api/v1/agents/"
EXECUTIONS = "/api/v1/executions/"
Api = Callable[[User | None], ApiClient]


def test_an_agent_is_shown_flat_with_its_configuration(api: Api, operator: User) -> None:
    client = api(operator)

    answer = client.post(AGENTS, {"name": "Ada", "kind": "hosted"})

    body = answer.json()
    assert answer.status_code == 201
    assert client.get(f"{AGENTS}{body['id']}").json() == body
    for name in ("id", "created_at", "updated_at"):
        assert body.pop(name)
    assert body == {
        "name": "Ada",
        "description": "",
        "kind": "hosted",
        "agent_type": "dynamic",
        "role": "general",
        "email": "",
        "tags": [],
        "worker_id": None,
        "status": "offline",
        "is_active": False,
        "version": 1,
        "tasks_completed": 0,
        "tasks_failed": 0,
        "success_rate": 0.0,
        "average_task_duration_seconds": 0.0,
        "total_tokens_used": 0,
        "total_cost_usd": "0.00000000",
        "last_active_at": None,
        "llm_provider": "demo",  # no other is configured here
        "llm_model": "",
        "system_prompt": "",
        "temperature": 0.7,
        "max_tokens": 4096,
        "enabled_tools": [],
        "tool_blacklist": [],
        "max_concurrent_tasks": 3,
        "max_tool_calls": 25,
        "timeout_seconds": 120,
        "max_tokens_per_task": 0,
        "daily_budget_usd": "0.0000",
        "memory_limit_mb": 512,
        "autonomy_level": "autonomous",
        "risk_rules": {},
        "fallback_models": [],
    }


def test_an_agent_is_stored_as_it_was_sent(api: Api, operator: User) -> None:
    sent = {
        "name": "Ada",
        "role": "clerk",
        "email": "ada@example.com",
        "tags": ["a", "b"],
        "worker_id": "00000000-0000-7000-8000-000000000000",
        "llm_provider": "openai",
        "system_prompt": "  kept \n",
        "temperature": 0,
        "enabled_tools": ["http_get", "calculator"],
        "tool_blacklist": ["http_get"],
        "daily_budget_usd": "1.5000",
        "autonomy_level": "supervised",
        "risk_rules": {
            "max_file_delete_mb": 1.5,
            "require_approval_for": ["http_get"],
            "block_external_api": True,
        },
    }

    body = api(operator).post(AGENTS, sent).json()

    assert {name: body[name] for name in sent} == sent


def test_a_change_leaves_what_it_does_not_name(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, temperature=0.1, tags=["a"], email="a@example.com")
    client = api(operator)
    before = client.get(f"{AGENTS}{agent.pk}").json()

    after = client.patch(f"{AGENTS}{agent.pk}", {"risk_rules": {"block_external_api": True}})

    changed = {name for name in before if before[name] != after.json()[name]}
    assert changed == {"risk_rules", "version", "updated_at"}
    assert after.json()["risk_rules"] == {"block_external_api": True}


def test_an_empty_change_changes_nothing(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization)
    client = api(operator)
    before = client.get(f"{AGENTS}{agent.pk}").json()

    assert client.patch(f"{AGENTS}{agent.pk}", {}).json() == before


def test_starting_and_stopping_answer_with_the_agent(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, started=False)
    client = api(operator)

    answers = [client.post(f"{AGENTS}{agent.pk}/{verb}") for verb in ("start", "stop", "stop")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [(a.json()["status"], a.json()["is_active"]) for a in answers] == [
        ("idle", True),
        ("offline", False),
        ("offline", False),
    ]


def test_a_taken_name_and_an_agent_at_work_are_409(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, name="Ada")
    claim_one(make_task(operator.organization, agent=agent))
    client = api(operator)

    taken, busy = client.post(AGENTS, {"name": "Ada"}), client.delete(f"{AGENTS}{agent.pk}")

    assert (taken.status_code, taken.json()["code"]) == (409, "agent.name_taken")
    assert (busy.status_code, busy.json()["code"]) == (409, "agent.has_running_tasks")
    assert AgentVersion.objects.count() == 1


def test_a_deleted_agent_is_gone_but_its_runs_stay(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, name="Ada")
    claim = claim_one(make_task(operator.organization, agent=agent))
    endings.settle_attempt(claim=claim, result=answered(), now=clock.now())
    client = api(operator)

    answer = client.delete(f"{AGENTS}{agent.pk}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"{AGENTS}{agent.pk}").status_code == 404
    assert client.get(AGENTS).json()["items"] == []
    assert client.get(EXECUTIONS).json()["items"][0]["agent_name"] == "Ada"


def test_a_misspelt_risk_rule_is_refused(api: Api, operator: User) -> None:
    agent = make_agent(operator.organization, name="Ada")
    misspelt = {"require_approval_fro": ["*"], "block_external_apis": True}

    answer = api(operator).patch(f"{AGENTS}{agent.pk}", {"risk_rules": misspelt})

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [
        "risk_rules.block_external_apis",
        "risk_rules.require_approval_fro",
    ]
    assert AgentVersion.objects.count() == 1


def test_versions_are_newest_first(api: Api, viewer: User, operator: User) -> None:
    agent = make_agent(operator.organization)
    writer = api(operator)
    for tokens in (10, 20):
        writer.patch(f"{AGENTS}{agent.pk}", {"max_tokens": tokens})

    body = api(viewer).get(f"{AGENTS}{agent.pk}/versions").json()

    assert [(v["number"], v["max_tokens"], v["created_by"]) for v in body["items"]] == [
        (3, 20, operator.email),
        (2, 10, operator.email),
        (1, 4096, "person@example.com"),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status_filter": "busy"}, ["a"]),
        ({"status_filter": "offline"}, ["c"]),
        ({"role": "clerk"}, ["c", "b"]),
        ({"role": "clerk", "status_filter": "idle"}, ["b"]),
    ],
)
def test_agents_are_filtered(
    api: Api, viewer: User, stranger: User, query: dict[str, str], expected: list[str]
) -> None:
    busy = make_agent(viewer.organization, name="a")
    make_agent(viewer.organization, name="b", role="clerk")
    make_agent(viewer.organization, name="c", role="clerk", started=False)
    make_agent(stranger.organization, role="clerk")
    claim_one(make_task(viewer.organization, agent=busy))

    body = api(viewer).get(AGENTS, **query).json()

    assert [item["name"] for item in body["items"]] == expected


def test_executions_are_filtered(api: Api, viewer: User, stranger: User) -> None:
    claims = []
    for place in (viewer.organization, viewer.organization, stranger.organization):
        agent = make_agent(place)
        claims.append(claim_one(make_task(place, agent=agent)))
    endings.settle_attempt(claim=claims[0], result=answered(), now=clock.now())
    first, second, _ = [str(claim.execution.pk) for claim in claims]
    client = api(viewer)

    def found(**query: Any) -> list[str]:
        return [item["id"] for item in client.get(EXECUTIONS, **query).json()["items"]]

    assert found() == [second, first]
    assert found(task_id=claims[0].task_id) == [first]
    assert found(agent_id=claims[1].agent_id) == [second]
    assert found(status_filter="success") == [first]
    assert found(status_filter="success", agent_id=claims[1].agent_id) == []


def test_an_execution_tells_how_it_ended(api: Api, viewer: User) -> None:
    agent = make_agent(viewer.organization, name="Ada")
    claim = claim_one(make_task(viewer.organization, agent=agent, instructions="Politely."))
    endings.settle_attempt(claim=claim, result=answered("Hi."), now=clock.now())

    body = api(viewer).get(f"{EXECUTIONS}{claim.execution.pk}").json()

    assert body.pop("created_at") < body.pop("finished_at")
    assert body == {
        "id": str(claim.execution.pk),
        "agent_id": str(agent.pk),
        "agent_name": "Ada",
        "version": 1,
        "source": "queue",
        "parent_id": None,
        "depth": 0,
        "task_id": str(claim.task_id),
        "attempt_id": str(claim.attempt_id),
        "status": "success",
        "input": "Say hello\n\nPolitely.",
        "output": "Hi.",
        "error": "",
        "error_kind": "",
        "tool_calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": "0.00000000",
        "duration_ms": 7,
        "replay": None,
        "approvals": [],
        "tools_left_out": [],
        "steps": [],
    }
