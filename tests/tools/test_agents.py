"""Agents and tasks may name what is in the organization's catalogue."""

import pytest

from accounts.models import Organization
from agents.operations import catalogue, registry
from kernel import clock
from kernel.actors import SYSTEM
from kernel.errors import Invalid
from tests.agents.factories import make_agent
from tests.tasks.factories import make_task
from tests.tools.factories import make_source, make_tool

pytestmark = pytest.mark.django_db


def test_an_agent_and_its_task_name_a_tool_of_a_source(organization: Organization) -> None:
    tool = make_tool(make_source(organization))

    agent = make_agent(organization, enabled_tools=["calculator", tool.tool_name])
    task = make_task(organization, agent=agent, required_tools=[tool.tool_name])

    assert agent.current_version is not None
    assert agent.current_version.enabled_tools == ["calculator", tool.tool_name]
    assert task.required_tools == [tool.tool_name]


def test_another_organizations_tool_is_unknown(
    organization: Organization, other_organization: Organization
) -> None:
    make_tool(make_source(other_organization))

    with pytest.raises(Invalid, match="invalid values") as refused:
        make_agent(organization, enabled_tools=["weather:forecast"])

    assert "Not in the tool catalogue: weather:forecast." in refused.value.fields[0]["message"]


def test_an_agent_and_its_task_name_another_agent(organization: Organization) -> None:
    make_agent(organization, name="Helper")

    agent = make_agent(organization, enabled_tools=["agent:Helper"])
    task = make_task(organization, agent=agent, required_tools=["agent:Helper"])

    assert agent.current_version is not None
    assert agent.current_version.enabled_tools == task.required_tools == ["agent:Helper"]


def test_an_agent_to_be_may_call_itself(organization: Organization) -> None:
    agent = make_agent(organization, name="Echo", enabled_tools=["agent:Echo"])

    assert agent.current_version is not None
    assert agent.current_version.enabled_tools == ["agent:Echo"]
    with pytest.raises(Invalid) as refused:
        make_agent(organization, name="Other", enabled_tools=["agent:Nobody"])
    assert "GET /api/v1/tools lists" in refused.value.fields[0]["message"]


def test_another_organizations_agent_is_no_tool(
    organization: Organization, other_organization: Organization
) -> None:
    make_agent(other_organization, name="Helper")

    with pytest.raises(Invalid) as refused:
        make_agent(organization, enabled_tools=["agent:Helper"])

    assert "Not in the tool catalogue: agent:Helper." in refused.value.fields[0]["message"]


def test_no_source_has_the_name_of_the_agents(organization: Organization) -> None:
    with pytest.raises(Invalid) as refused:
        make_source(organization, name="agent")

    assert refused.value.fields[0]["field"] == "name"


def test_a_tool_that_is_gone_leaves_the_agent_as_it_is(organization: Organization) -> None:
    tool = make_tool(make_source(organization))
    agent = make_agent(organization, enabled_tools=[tool.tool_name])
    tool.delete()

    changed = registry.update_agent(
        organization_id=organization.pk,
        agent_id=agent.pk,
        values={"max_tokens": 7},
        actor=SYSTEM,
        now=clock.now(),
    )

    assert changed.current_version is not None
    assert changed.current_version.enabled_tools == ["weather:forecast"]
    missing = catalogue.missing_tools(
        organization_id=organization.pk, names=["weather:forecast", "calculator"]
    )
    assert missing == ["weather:forecast"]
