"""What an agent was told before: one version, what differs, going back."""

from collections.abc import Callable

import pytest

from accounts.models import User
from agents.models import Agent, AgentVersion
from agents.operations import registry
from audit.models import AuditEvent
from kernel import clock
from tests.agents.factories import PERSON, make_agent
from tests.clients import ApiClient
from tests.tasks.factories import claim_one, make_task

Api = Callable[[User | None], ApiClient]


@pytest.fixture
def agent(operator: User) -> Agent:
    """One with three versions."""
    made = make_agent(operator.organization, system_prompt="Be kind.\nBe brief.", max_tokens=1)
    for values in ({"system_prompt": "Be kind.\nBe long."}, {"max_tokens": 3}):
        registry.update_agent(
            organization_id=made.organization_id,
            agent_id=made.pk,
            values=values,
            actor=PERSON,
            now=clock.now(),
        )
    return made


def path(agent: Agent, rest: str = "") -> str:
    return f"/api/v1/agents/{agent.pk}/versions/{rest}"


def test_one_version_is_shown(api: Api, viewer: User, agent: Agent) -> None:
    body = api(viewer).get(path(agent, "2")).json()

    assert (body["number"], body["system_prompt"], body["max_tokens"]) == (
        2,
        "Be kind.\nBe long.",
        1,
    )


def test_versions_are_compared_field_by_field(api: Api, viewer: User, agent: Agent) -> None:
    client = api(viewer)

    forth = client.get(path(agent, "3/diff"), **{"with": 1}).json()
    back = client.get(path(agent, "1/diff"), **{"with": 3}).json()
    same = client.get(path(agent, "2/diff"), **{"with": 2}).json()

    assert forth == {
        "before": 1,
        "after": 3,
        "changes": [
            {
                "field": "system_prompt",
                "before": "Be kind.\nBe brief.",
                "after": "Be kind.\nBe long.",
                "diff": "--- version 1\n+++ version 3\n@@ -1,2 +1,2 @@\n Be kind.\n-Be brief."
                "\n+Be long.",
            },
            {"field": "max_tokens", "before": 1, "after": 3, "diff": ""},
        ],
    }
    assert [(c["before"], c["after"]) for c in back["changes"]][1] == (3, 1)
    assert same["changes"] == []
    assert client.get(path(agent, "3/diff")).json()["before"] == 2
    assert client.get(path(agent, "1/diff")).json()["before"] == 1


def test_rolling_back_makes_a_new_version(api: Api, operator: User, agent: Agent) -> None:
    claim = claim_one(make_task(operator.organization, agent=agent))

    answer = api(operator).post(path(agent, "1/rollback"))

    body = answer.json()
    claim.execution.refresh_from_db()
    assert (answer.status_code, body["version"], body["max_tokens"]) == (200, 4, 1)
    assert body["system_prompt"] == "Be kind.\nBe brief."
    assert claim.execution.version.number == 3
    versions = {version.number: version for version in AgentVersion.objects.all()}
    assert versions[4].configuration() == versions[1].configuration()
    assert (versions[4].created_by, len(versions)) == (operator.email, 4)
    assert AuditEvent.objects.get(action="agent.rollback").details == {
        "from": 3,
        "to": 1,
        "version": 4,
    }


@pytest.mark.parametrize(
    ("rest", "refusal"),
    [
        ("3/rollback", (409, "agent_version.is_current")),
        ("9/rollback", (404, "agent_version.not_found")),
        ("x/rollback", (422, "validation.invalid")),
        ("9999999999/rollback", (422, "validation.invalid")),
    ],
)
def test_what_cannot_be_rolled_back_to(
    api: Api, operator: User, agent: Agent, rest: str, refusal: tuple[int, str]
) -> None:
    answer = api(operator).post(path(agent, rest))

    assert (answer.status_code, answer.json()["code"]) == refusal
    assert AgentVersion.objects.filter(agent=agent).count() == 3


def test_the_same_configuration_under_another_number_is_current(
    api: Api, operator: User, agent: Agent
) -> None:
    client = api(operator)
    client.post(path(agent, "1/rollback"))

    assert client.post(path(agent, "1/rollback")).status_code == 409


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("9", 404),
        ("x", 422),
        ("1/diff?with=x", 422),
        ("1/diff?with=9", 404),
        ("9/diff?with=1", 404),
    ],
)
def test_versions_that_are_not_there(
    api: Api, viewer: User, agent: Agent, rest: str, status: int
) -> None:
    assert api(viewer).get(path(agent, rest)).status_code == status


def test_another_organizations_versions_are_not_there(
    api: Api, stranger: User, agent: Agent
) -> None:
    client = api(stranger)

    answers = [
        client.get(path(agent, "1")),
        client.get(path(agent, "1/diff"), **{"with": 2}),
        client.post(path(agent, "1/rollback")),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_a_fallback_is_part_of_the_configuration(api: Api, operator: User, agent: Agent) -> None:
    client = api(operator)
    sent = ["openai:gpt-4o", "google:models/a:b"]

    answer = client.patch(f"/api/v1/agents/{agent.pk}", {"fallback_models": sent})

    assert (answer.json()["fallback_models"], answer.json()["version"]) == (sent, 4)


@pytest.mark.parametrize("wrong", ["openai", "openai:", "skynet:t800", ":gpt-4o"])
def test_a_fallback_names_provider_and_model(
    api: Api, operator: User, agent: Agent, wrong: str
) -> None:
    answer = api(operator).patch(f"/api/v1/agents/{agent.pk}", {"fallback_models": [wrong]})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "fallback_models")
