"""Which tools an agent is offered."""

from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from kernel import clock
from kernel.actors import SYSTEM
from tests.tools.factories import SCHEMA, make_source, make_tool
from tools.models import CatalogTool
from tools.operations import builtins, policies, toolset
from tools.operations.toolset import Toolset

AGENT = uuid4()


def resolve(organization: Organization, *names: str, user: User | None = None) -> Toolset:
    return toolset.resolve(
        organization_id=organization.pk,
        names=names,
        agent_id=AGENT,
        user_id=user.pk if user else None,
    )


def offered(found: Toolset) -> list[str]:
    return [tool.name for tool in found.tools]


def test_tools_come_in_their_order_and_each_once(organization: Organization) -> None:
    source = make_source(organization)
    tool = make_tool(source, timeout_seconds=7, needs_approval=True, output_limit_bytes=200)

    found = resolve(organization, "weather:forecast", "gone", "calculator", "weather:forecast")

    weather, calculator = found.tools
    assert found.left_out == {"gone": "It is not in the tool catalogue (any more)."}
    assert (weather.name, weather.parameters, weather.source_id) == (
        "weather:forecast",
        SCHEMA,
        source.pk,
    )
    assert (weather.timeout_seconds, weather.output_limit_bytes) == (9, 200)
    assert (weather.side_effect, weather.idempotent, weather.needs_approval) == (
        "write",
        False,
        True,
    )
    assert weather.call is not None
    assert tool.tool_name == weather.name
    assert (calculator.name, calculator.call, calculator.idempotent) == ("calculator", None, True)


def test_another_organizations_tool_is_missing(
    organization: Organization, other_organization: Organization
) -> None:
    make_tool(make_source(other_organization))

    found = resolve(organization, "weather:forecast")

    assert found.left_out == {"weather:forecast": "It is not in the tool catalogue (any more)."}


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("tool", "It is disabled. Enable it in the tool catalogue."),
        ("source", "Its source weather is disabled. Enable that."),
        ("agent", "It is for other agents. Add this one to its allowed_agents."),
    ],
)
def test_what_is_off_or_for_others_is_left_out(
    organization: Organization, who: str, why: str
) -> None:
    source = make_source(organization, is_enabled=who != "source")
    agents = [uuid4()] if who == "agent" else [AGENT, uuid4()]
    make_tool(source, is_enabled=who != "tool", allowed_agents=agents)

    found = resolve(organization, "weather:forecast")

    assert (offered(found), found.left_out) == ([], {"weather:forecast": why})


def test_a_role_is_asked_of_whoever_asks(
    organization: Organization, admin: User, viewer: User
) -> None:
    make_tool(make_source(organization), declared_roles=["admin", "auditor"])
    tool = CatalogTool.objects.get()

    found = [resolve(organization, tool.tool_name, user=who) for who in (admin, viewer, None)]
    policies.set_policy(
        organization_id=organization.pk,
        tool_id=tool.pk,
        values={"required_roles": []},
        actor=SYSTEM,
        now=clock.now(),
    )

    assert [offered(each) for each in found] == [[tool.tool_name], [], []]
    why = "Who asked for the run does not hold a role that it needs: admin, auditor."
    assert found[1].left_out == {tool.tool_name: why}
    assert offered(resolve(organization, tool.tool_name)) == [tool.tool_name]


def test_a_role_is_asked_of_everybody_who_asks(
    organization: Organization, admin: User, viewer: User
) -> None:
    tool = make_tool(make_source(organization), declared_roles=["admin"])

    found = [
        toolset.resolve(
            organization_id=organization.pk,
            names=[tool.tool_name],
            agent_id=AGENT,
            user_id=admin.pk,
            author_ids=authors,
        )
        for authors in ([admin.pk], [viewer.pk])
    ]

    assert [offered(each) for each in found] == [[tool.tool_name], []]


@pytest.mark.parametrize(
    ("roles", "times"), [(["admin", "operator"], 1), (["admin", "auditor"], 0)]
)
def test_any_of_its_roles_suffices_for_each_who_asks(
    organization: Organization, admin: User, operator: User, roles: list[str], times: int
) -> None:
    tool = make_tool(make_source(organization), declared_roles=roles)

    with CaptureQueriesContext(connection) as queries:
        found = toolset.resolve(
            organization_id=organization.pk,
            names=[tool.tool_name],
            agent_id=AGENT,
            user_id=admin.pk,
            author_ids=[operator.pk, admin.pk],
        )

    assert offered(found) == [tool.tool_name] * times
    assert len(queries) == 2  # the tools, and everybody's roles


def test_nobody_unknown_borrows_an_authors_role(organization: Organization, admin: User) -> None:
    tool = make_tool(make_source(organization), declared_roles=["admin"])

    found = toolset.resolve(
        organization_id=organization.pk,
        names=[tool.tool_name],
        agent_id=AGENT,
        author_ids=[admin.pk],
    )

    assert offered(found) == []


def test_every_organization_has_rows_of_the_hubs_own_tools(
    organization: Organization, other_organization: Organization
) -> None:
    first = builtins.offer(now=clock.now())
    again = builtins.offer(now=clock.now())

    rows = CatalogTool.objects.filter(organization=organization)
    assert (first, again) == (2 * len(builtins.BUILTINS), 0)
    assert set(rows.values_list("tool_name", flat=True)) == set(builtins.BUILTINS)
    assert set(rows.values_list("service_name", flat=True)) == {"builtin"}


def test_a_hub_that_is_prepared_to_start_has_them(organization: Organization) -> None:
    call_command("bootstrap", stdout=StringIO())

    rows = CatalogTool.objects.filter(organization=organization)
    assert set(rows.values_list("tool_name", flat=True)) == set(builtins.BUILTINS)


def test_the_hubs_own_tools_follow_a_policy_and_the_code(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtins.offer(now=clock.now())
    rows = CatalogTool.objects.filter(organization=organization)
    rows.filter(tool_name="calculator").update(is_enabled=False, has_policy=True)
    rows.filter(tool_name="http_get").update(description="Old.", needs_approval=True)

    builtins.offer(now=clock.now())
    found = resolve(organization, "calculator", "http_get")
    monkeypatch.delitem(builtins.BUILTINS, "calculator")
    monkeypatch.delitem(builtins.BUILTINS, "http_get")
    builtins.offer(now=clock.now())

    assert (offered(found), list(found.left_out)) == (["http_get"], ["calculator"])
    assert found.tools[0].description.startswith("Reads a web page")
    assert found.tools[0].needs_approval
    gone = resolve(organization, "calculator", "http_get")
    assert list(gone.left_out) == ["calculator", "http_get"]
    # What a person decided is kept for the day when the tool is back.
    assert [row.tool_name for row in rows.filter(removed_at__isnull=False)] == ["calculator"]
