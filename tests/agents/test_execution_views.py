"""Executions in seed 004's words (contract 004 C2), and the same filters in `/api/v1`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from agents.choices import AgentType, ExecutionSource, ExecutionStatus, StepKind
from agents.models import Agent, AgentExecution, ExecutionStep, StepOutput
from agents.operations import executions
from kernel import clock
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.hub.console_rows import address

Api = Callable[[User | None], ApiClient]
ONE: Final = "/v1/agentexecution"
MANY: Final = "/v1/agentexecutions"
HUBS_OWN: Final = "/api/v1/executions"


def make_run(
    agent: Agent,
    *,
    status: str = ExecutionStatus.SUCCESS,
    source: ExecutionSource = ExecutionSource.QUEUE,
    user_id: UUID | None = None,
    asked: str = "Hello?",
    parent: AgentExecution | None = None,
    **ending: Any,
) -> AgentExecution:
    """A run that ended so; one that still runs with that status."""
    assert agent.current_version is not None
    opening = executions.Opening(
        version=agent.current_version,
        agent_name=agent.name,
        input=asked,
        task_id=None,
        attempt_id=None,
        user_id=user_id,
        source=source,
        parent=parent,
    )
    (run,) = executions.open_executions(openings=[opening], now=clock.now())
    if status != ExecutionStatus.RUNNING:
        AgentExecution.objects.filter(pk=run.pk).update(
            status=status, finished_at=clock.now() + timedelta(seconds=1), **ending
        )
    return run


def names(answer: Any) -> list[str]:
    """The inputs of what was listed, which are its names here."""
    assert answer.status_code == 200, answer.content
    body = answer.json()
    if "items" in body:
        return sorted(run["input"] for run in body["items"])
    return sorted(run["input"]["prompt"] for run in body["sys_agentExecutions"])


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """Whose runs they are."""
    return make_agent(organization, name="Ada")


def test_a_run_is_shown_in_004s_words(api: Api, admin: User, agent: Agent) -> None:
    run = make_run(
        agent,
        user_id=admin.pk,
        output="Hi.",
        tool_calls=2,
        input_tokens=3,
        output_tokens=4,
        duration_ms=5,
    )

    body = api(admin).get(f"{ONE}/{run.pk}").json()

    shown = body["sys_agentExecution"]
    assert (body["dataName"], body["action"], body["rowCount"]) == ("sys_agentExecution", "get", 1)
    assert shown.pop("createdAt") < shown.pop("updatedAt")
    assert shown == {
        "id": str(run.pk),
        "agentName": "Ada",
        "agentType": "dynamic",
        "agentType_idx": 1,
        "source": "kafka",
        "source_idx": 2,
        "userId": str(admin.pk),
        "input": {"prompt": "Hello?"},
        "output": {"response": "Hi."},
        "toolCalls": 2,
        "tokenUsage": {"prompt": 3, "completion": 4, "total": 7},
        "durationMs": 5,
        "status": "success",
        "status_idx": 0,
        "error": None,
        "recordVersion": 1,
        "_owner": str(admin.pk),
        "isActive": True,
    }


@pytest.mark.parametrize(
    ("ended", "shown"),
    [
        ({"status": "success"}, ("success", 0, None)),
        ({"status": "error", "error": "It broke."}, ("error", 1, "It broke.")),
        ({"status": "cancelled", "error": "Stopped by Ann."}, ("error", 1, "cancelled")),
        ({"status": "timeout", "error": "It timed out."}, ("timeout", 2, "It timed out.")),
    ],
)
def test_every_end_has_a_word(
    api: Api, admin: User, agent: Agent, ended: dict[str, Any], shown: tuple[str, int, str | None]
) -> None:
    run = make_run(agent, **ended)

    found = api(admin).get(f"{ONE}/{run.pk}").json()["sys_agentExecution"]

    assert (found["status"], found["status_idx"], found["error"]) == shown
    assert found["output"] is None


def test_what_still_runs_is_not_there_yet(api: Api, admin: User, agent: Agent) -> None:
    run = make_run(agent, status=ExecutionStatus.RUNNING)
    client = api(admin)

    assert names(client.get(MANY)) == []
    assert client.get(f"{ONE}/{run.pk}").status_code == 404


@pytest.mark.parametrize("length", [10_000, 10_001, 50_000])
def test_the_list_cuts_long_texts_and_the_run_itself_does_not(
    api: Api, admin: User, agent: Agent, length: int
) -> None:
    text = "é" * length
    run = make_run(agent, asked=text, output=text)
    client = api(admin)

    (listed,) = client.get(MANY).json()["sys_agentExecutions"]
    whole = client.get(f"{ONE}/{run.pk}").json()["sys_agentExecution"]

    cut = text if length == 10_000 else "é" * 10_000 + "… [cut at 10,000 characters]"
    assert (listed["input"]["prompt"], listed["output"]["response"]) == (cut, cut)
    assert (whole["input"]["prompt"], whole["output"]["response"]) == (text, text)


def test_administrators_see_all_and_others_their_own(
    api: Api, admin: User, operator: User, stranger: User, agent: Agent
) -> None:
    mine = make_run(agent, user_id=operator.pk, asked="mine")
    theirs = make_run(agent, user_id=admin.pk, asked="theirs")
    make_run(agent, asked="nobody's")
    client = api(operator)

    assert names(client.get(MANY)) == ["mine"]
    assert names(client.get(MANY, userId=str(admin.pk))) == []
    assert names(api(admin).get(MANY)) == ["mine", "nobody's", "theirs"]
    assert names(api(stranger).get(MANY)) == []
    assert client.get(f"{ONE}/{mine.pk}").status_code == 200
    assert client.get(f"{ONE}/{theirs.pk}").status_code == 404
    assert api(stranger).get(f"{ONE}/{mine.pk}").status_code == 404


@pytest.fixture
def many(organization: Organization, admin: User) -> None:
    """Runs of each kind."""
    ada = make_agent(organization, name="Ada")
    bob = make_agent(organization, name="bobada_1%")
    Agent.objects.filter(pk=bob.pk).update(agent_type=AgentType.DESIGN)
    make_run(ada, asked="queue", source=ExecutionSource.QUEUE)
    make_run(ada, asked="rest", source=ExecutionSource.REST, user_id=admin.pk)
    make_run(ada, asked="sse", source=ExecutionSource.SSE, status=ExecutionStatus.ERROR)
    make_run(bob, asked="agent", source=ExecutionSource.AGENT, status=ExecutionStatus.CANCELLED)
    make_run(bob, asked="late", status=ExecutionStatus.TIMEOUT)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"agentName": "ADA"}, ["agent", "late", "queue", "rest", "sse"]),
        ({"agentName": "a_1%"}, ["agent", "late"]),
        ({"agentName": ["bob", "nobody"]}, ["agent", "late"]),
        ({"agentName": ["da", "bob"]}, ["agent", "late", "queue", "rest", "sse"]),
        ({"agentName": "null"}, []),
        ({"agentName": ["null", "bob"]}, ["agent", "late"]),
        ({"agentType": "design"}, ["agent", "late"]),
        ({"agentType": ["design", "dynamic"]}, ["agent", "late", "queue", "rest", "sse"]),
        ({"source": "kafka"}, ["late", "queue"]),
        ({"source": ["rest", "sse"]}, ["rest", "sse"]),
        ({"userId": "{admin}"}, ["rest"]),
        ({"userId": "null"}, ["agent", "late", "queue", "sse"]),
        ({"userId": ["null", "{admin}"]}, ["agent", "late", "queue", "rest", "sse"]),
        ({"status": "error"}, ["agent", "sse"]),
        ({"status": ["timeout", "success"]}, ["late", "queue", "rest"]),
        ({"status": "success", "source": "rest"}, ["rest"]),
    ],
    ids=str,
)
def test_004s_filters(
    api: Api, admin: User, many: None, query: dict[str, Any], expected: list[str]
) -> None:
    asked = {
        name: [v.format(admin=admin.pk) for v in ([value] if isinstance(value, str) else value)]
        for name, value in query.items()
    }

    assert names(api(admin).get(MANY, **asked)) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"status": "running"}, "statusIsNotAValidEnumValue"),
        ({"status": ["error", "x"]}, "statusArrayHasAnInvalidEnumValue"),
        ({"source": "queue"}, "sourceIsNotAValidEnumValue"),
        ({"agentType": "x"}, "agentTypeIsNotAValidEnumValue"),
        ({"userId": "x"}, "userIdisNotAValidID"),
        ({"agentName": "\x00"}, "agentNameTypeIsNotValid"),
    ],
    ids=str,
)
def test_004s_filters_refuse(
    api: Api, admin: User, agent: Agent, query: dict[str, Any], message: str
) -> None:
    answer = api(admin).get(MANY, **query)

    assert (answer.status_code, answer.json()["message"]) == (400, f"errMsg_{message}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"agent_name": ["bob", "nobody"]}, ["agent", "late"]),
        ({"agent_type": "design"}, ["agent", "late"]),
        ({"source": ["queue", "rest"]}, ["late", "queue", "rest"]),
        ({"user_id": "null"}, ["agent", "late", "queue", "sse"]),
        ({"status": ["cancelled", "timeout"]}, ["agent", "late"]),
        ({"status_filter": "cancelled"}, ["agent"]),
    ],
    ids=str,
)
def test_the_hubs_own_list_has_the_same_filters(
    api: Api, viewer: User, many: None, query: dict[str, Any], expected: list[str]
) -> None:
    assert names(api(viewer).get(HUBS_OWN, **query)) == expected


@pytest.mark.parametrize(
    "query", [{"source": "kafka"}, {"user_id": "x"}, {"status": "x"}, {"agent_type": "x"}], ids=str
)
def test_the_hubs_own_filters_refuse(api: Api, viewer: User, query: dict[str, str]) -> None:
    answer = api(viewer).get(HUBS_OWN, **query)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(query)))


def test_refusals_are_004s(api: Api, viewer: User) -> None:
    assert api(None).get(MANY).json()["errCode"] == "LoginRequired"
    assert api(viewer).get(f"{ONE}/x").json()["message"] == (
        "errMsg_sys_agentExecutionIdisNotAValidID"
    )
    assert api(viewer).get(f"{ONE}/{uuid4()}").json()["message"] == "errMsg_RecordNotFound"


def test_a_run_and_those_of_the_agents_it_called_lead_to_each_other(
    client: Client, viewer: User
) -> None:
    agent = make_agent(viewer.organization, name="Boss")
    caller = make_run(agent, asked="Have it done.")
    called = make_run(agent, asked="Do it.", source=ExecutionSource.AGENT, parent=caller)
    api = ApiClient(viewer)
    client.force_login(viewer)

    page = client.get(address(AgentExecution, caller.pk)).content.decode()
    below = client.get(address(AgentExecution, called.pk)).content.decode()

    assert names(api.get(HUBS_OWN, parent_id=caller.pk)) == ["Do it."]
    shown = api.get(f"{HUBS_OWN}/{called.pk}").json()
    assert (shown["parent_id"], shown["depth"]) == (str(caller.pk), 1)
    assert "Agents it called" in page
    assert address(AgentExecution, called.pk) in page
    assert "Agents it called" not in below
    assert address(AgentExecution, caller.pk) in below


def test_all_of_a_cut_result_has_a_page(client: Client, viewer: User, stranger: User) -> None:
    run = make_run(make_agent(viewer.organization))
    step = ExecutionStep.objects.create(
        organization=run.organization,
        execution=run,
        ordinal=1,
        kind=StepKind.TOOL_CALL,
        tool="calculator",
        result="<b>par",
        is_cut=True,
    )
    StepOutput.objects.create(organization=run.organization, step=step, text="<b>part and whole")
    page = reverse("admin:agents_agentexecution_output", args=[step.pk])

    client.force_login(viewer)
    whole = client.get(page)
    linked = page in client.get(address(AgentExecution, run.pk)).content.decode()
    client.force_login(stranger)
    theirs = client.get(page)

    assert linked
    assert whole.content.decode() == "<b>part and whole"
    assert whole["content-type"] == "text/plain; charset=utf-8"
    assert whole["x-content-type-options"] == "nosniff"
    assert theirs.status_code == 302
