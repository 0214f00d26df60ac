"""What may be said of a source, and of a tool."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from kernel import clock
from kernel.actors import SYSTEM
from kernel.errors import Invalid
from tests.agents.factories import make_agent
from tests.tools.factories import make_secret, make_source, make_tool, set_policy
from tools.errors import SourceDisabled, SourceNameTaken, SourceNotFound, ToolNotFound
from tools.models import CatalogTool, ToolSource
from tools.operations import policies, sources

pytestmark = pytest.mark.django_db
DOCUMENT = '{"openapi": "3.0.0"}'


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "builtin"}, "name"),
        ({"name": "With space"}, "name"),
        ({"url": ""}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[::"}, "url"),
        ({"url": "https://{host}"}, "url"),
        ({"kind": "openapi", "server_url": "https://{host}/v1"}, "server_url"),
        ({"url": "https://user:pass@example.com"}, "url"),
        ({"command": "weather"}, "command"),
        ({"kind": "mcp", "command": "weather"}, "url"),
        ({"kind": "mcp", "url": "", "command": "unknown"}, "command"),
        ({"kind": "mcp", "url": "", "command": "weather", "headers": {"A": "b"}}, "headers"),
        ({"server_url": "https://example.com"}, "server_url"),
        ({"document": DOCUMENT}, "document"),
        ({"kind": "openapi", "document": DOCUMENT}, "url"),
        ({"kind": "openapi", "url": "", "document": "{}"}, "document"),
        ({"headers": {"Host": "example.com"}}, "headers"),
        ({"headers": {"Bad name": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
        ({"headers": {"Authorization": "Bearer abc"}}, "headers"),
        ({"headers": {"X-Api-Key": "{secret:none}"}}, "headers"),
        ({"headers": {"X-A": "{secret:../x}"}}, "headers"),
    ],
)
def test_what_makes_no_sense_is_refused(
    organization: Organization, settings: Any, values: dict[str, Any], field: str
) -> None:
    settings.HUB_MCP_COMMANDS = {"weather": ("weather",)}

    with pytest.raises(Invalid) as refused:
        make_source(organization, **values)

    assert [fault["field"] for fault in refused.value.fields] == [field]
    assert not ToolSource.objects.exists()


def test_a_change_is_asked_for_anew_and_on_record(organization: Organization) -> None:
    make_secret(organization)
    source = make_source(organization)
    now = clock.now() + timedelta(hours=1)
    who: dict[str, Any] = {
        "organization_id": organization.pk,
        "source_id": source.pk,
        "actor": SYSTEM,
        "now": now,
    }

    changed = sources.update_source(
        values={"headers": {"X-Key": "{secret:weather_key}"}, "url": source.url}, **who
    )
    same = sources.update_source(values={"url": source.url}, **who)
    sources.update_source(values={"is_enabled": False}, **who)
    with pytest.raises(SourceDisabled):
        sources.ask_again(**who)
    with pytest.raises(Invalid):
        sources.update_source(values={"name": "other"}, **who)

    assert (changed.revision, changed.next_refresh_at) == (2, now)
    assert same.revision == 2
    rows = AuditEvent.objects.filter(resource_type="tool_source").order_by("pk")
    assert [(row.action, row.details.get("fields")) for row in rows] == [
        ("tool_source.create", None),
        ("tool_source.update", ["headers"]),
        ("tool_source.update", ["is_enabled"]),
    ]
    assert "weather_key" not in str([row.details for row in rows])


def test_a_name_is_taken_once_in_an_organization(
    organization: Organization, other_organization: Organization
) -> None:
    make_source(organization)
    make_source(other_organization)

    with pytest.raises(SourceNameTaken):
        make_source(organization)


def test_a_source_goes_with_its_tools(organization: Organization) -> None:
    source = make_source(organization)
    make_tool(source)
    who: dict[str, Any] = {
        "organization_id": organization.pk,
        "source_id": source.pk,
        "actor": SYSTEM,
    }

    sources.delete_source(**who, now=clock.now())
    with pytest.raises(SourceNotFound):
        sources.delete_source(**who, now=clock.now())

    assert not CatalogTool.objects.exists()
    assert AuditEvent.objects.filter(action="tool_source.delete").count() == 1


def test_a_policy_is_over_what_is_declared_until_it_is_taken_back(
    organization: Organization,
) -> None:
    tool = make_tool(make_source(organization))
    who: dict[str, Any] = {"organization_id": organization.pk, "tool_id": tool.pk, "actor": SYSTEM}
    agent = make_agent(organization).pk

    first = policies.set_policy(
        values={"side_effect": "none", "is_idempotent": True, "allowed_agents": [agent]},
        **who,
        now=clock.now(),
    )
    second = policies.set_policy(
        values={"side_effect": None, "is_idempotent": None}, **who, now=clock.now()
    )
    policies.set_policy(values={"is_enabled": True}, **who, now=clock.now())

    assert (first.effective_side_effect, first.effective_idempotent) == ("none", True)
    assert (second.effective_side_effect, second.effective_idempotent) == ("write", False)
    rows = AuditEvent.objects.filter(action="tool.update").order_by("pk")
    assert [row.details["changes"] for row in rows] == [
        {
            "side_effect": [None, "none"],
            "is_idempotent": [None, True],
            "allowed_agents": [[], [str(agent)]],
        },
        {"side_effect": ["none", None], "is_idempotent": [True, None]},
    ]


@pytest.mark.parametrize(
    "values",
    [{"required_roles": ["nobody"]}, {"approval_rule_id": uuid4()}, {"allowed_agents": [uuid4()]}],
    ids=["role", "rule", "agent"],
)
def test_a_policy_names_what_there_is(organization: Organization, values: dict[str, Any]) -> None:
    tool = make_tool(make_source(organization))

    with pytest.raises(Invalid) as refused:
        policies.set_policy(
            organization_id=organization.pk,
            tool_id=tool.pk,
            values=values,
            actor=SYSTEM,
            now=clock.now(),
        )

    assert [fault["field"] for fault in refused.value.fields] == list(values)
    assert not CatalogTool.objects.get().has_policy


def test_a_policy_names_agents_of_its_organization(
    organization: Organization, other_organization: Organization
) -> None:
    ours, theirs = make_agent(organization).pk, make_agent(other_organization).pk
    tool = make_tool(make_source(organization), allowed_agents=[uuid4()])
    gone = tool.allowed_agents[0]

    with pytest.raises(Invalid) as refused:
        set_policy(tool, allowed_agents=[gone, ours, theirs])
    kept = set_policy(tool, allowed_agents=[gone, ours])

    assert refused.value.fields[0]["message"] == f"There is no agent {theirs}."
    assert kept.allowed_agents == [gone, ours]


@pytest.mark.parametrize(
    ("change", "revision"),
    [
        ({"url": "https://other.example.com"}, 2),
        ({"headers": {"X-A": "b"}}, 2),
        ({"refresh_seconds": 60}, 1),
        ({"include": ["a"]}, 1),
    ],
)
def test_where_a_source_is_said_to_be_anew(
    organization: Organization, change: dict[str, Any], revision: int
) -> None:
    source = make_source(organization)
    make_tool(source)

    changed = sources.update_source(
        organization_id=organization.pk,
        source_id=source.pk,
        values=change,
        actor=SYSTEM,
        now=clock.now(),
    )

    assert (changed.revision, changed.reached_revision) == (2, revision)
    assert CatalogTool.objects.get().awaits_refresh == (revision == 2)


def test_a_tool_that_is_gone_has_no_policy(organization: Organization) -> None:
    tool = make_tool(make_source(organization), removed_at=clock.now())

    with pytest.raises(ToolNotFound):
        policies.set_policy(
            organization_id=organization.pk,
            tool_id=tool.pk,
            values={"is_enabled": False},
            actor=SYSTEM,
            now=clock.now(),
        )
