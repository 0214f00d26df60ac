"""What a run may do by an older version of its agent."""

from typing import Any, Final

import pytest

from accounts.models import Organization
from agents.models import AgentVersion
from agents.operations import registry, run_tools
from agents.operations.run_tools import RunTools
from agents.runtime.tools import Tool
from kernel import clock
from tests.agents.factories import PERSON, make_agent, registered

STRICT: Final[dict[str, Any]] = {
    "autonomy_level": "read_only",
    "risk_rules": {"block_external_api": True, "require_approval_for": ["p*"]},
}
FREE: Final[dict[str, Any]] = {"autonomy_level": "autonomous", "risk_rules": {}}
PAY: Final = Tool(
    name="pay",
    description="Pays.",
    parameters={"type": "object"},
    call=lambda *_: "Paid.",
    side_effect="write",
    is_external=True,
)


def versions(organization: Organization, *configured: dict[str, Any]) -> list[AgentVersion]:
    """Of one agent, the last of them its own now."""
    first, *others = configured
    agent = make_agent(organization, enabled_tools=["pay"], **first)
    for values in others:
        registry.update_agent(
            organization_id=organization.pk,
            agent_id=agent.pk,
            values=values,
            actor=PERSON,
            now=clock.now(),
        )
    return list(agent.versions.order_by("number"))


def offered(version: AgentVersion) -> RunTools:
    """To a run of the version, as things are now."""
    newer = run_tools.newer_version(version)
    return run_tools.read_tools(
        version=version, names=["pay"], agent_name=version.agent.name, newer=newer
    )


@pytest.mark.django_db
@pytest.mark.parametrize("configured", [(STRICT, FREE), (FREE, STRICT)])
def test_the_stricter_of_both_counts(
    organization: Organization, configured: tuple[dict[str, Any], ...]
) -> None:
    with registered(PAY):
        old, _ = versions(organization, *configured)

        found = offered(old)

    (tool,) = found.tools
    assert tool.refusal
    assert (tool.needs_approval, found.is_inside) == (True, True)


@pytest.mark.django_db
def test_the_version_of_now_counts_alone(organization: Organization) -> None:
    with registered(PAY):
        *_, now = versions(organization, STRICT, FREE)

        found = offered(now)

    (tool,) = found.tools
    assert (tool.refusal, tool.needs_approval, found.is_inside) == ("", False, False)


@pytest.mark.django_db
@pytest.mark.parametrize("withdrawn", [{"enabled_tools": []}, {"tool_blacklist": ["pay"]}])
def test_a_tool_has_to_be_in_both(organization: Organization, withdrawn: dict[str, Any]) -> None:
    with registered(PAY):
        old, _ = versions(organization, FREE, withdrawn)

        found = offered(old)

    assert found.tools == ()
    assert found.left_out == {"pay": run_tools.WITHDRAWN}
