"""One call of a service's tool: what it passes, and what comes back."""

from typing import Any

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from breakers.choices import Forced
from breakers.operations import switches
from kernel import clock, jobs, loop
from kernel.actors import SYSTEM
from tests.agents.factories import make_agent
from tests.peers.tool_service import tool_service
from tests.tools.factories import (
    SCHEMA,
    call,
    make_secret,
    make_source,
    make_tool,
    names,
    not_refused,
    refresh,
    set_policy,
    tool_called,
)
from tools import tasks
from tools.errors import ToolCallFailed
from tools.models import CatalogTool, ToolSource
from tools.operations import builtins, calls, sources, toolset

pytestmark = pytest.mark.django_db(transaction=True)
CALL = ("POST", "/api/mcp-tools/call")


def test_a_service_is_called_with_name_and_arguments(organization: Organization) -> None:
    make_secret(organization)
    with tool_service() as service:
        headers = {"X-Key": "{secret:weather_key}"}
        tool = make_tool(make_source(organization, url=service.url, headers=headers))
        service.put(*CALL, {"said": ["canary-5fe1c0", {"canary-5fe1c0": 1}], "sky": "clear"})

        answer = call(tool, city="Oslo")

    (asked,) = service.asked
    assert asked.body == {"name": "forecast", "arguments": {"city": "Oslo"}}
    assert asked.headers["x-key"] == "canary-5fe1c0"
    hidden = "[secret:weather_key]"
    assert answer == {"said": [hidden, {hidden: 1}], "sky": "clear"}
    (use,) = AuditEvent.objects.filter(action="secret.use")
    assert use.details["purpose"] == "tool:weather"


@pytest.mark.parametrize("what", ["tool", "source", "gone"])
def test_what_was_switched_off_meanwhile_is_not_called(
    organization: Organization, what: str
) -> None:
    with tool_service() as service:
        tool = make_tool(make_source(organization, url=service.url))
        if what == "source":
            ToolSource.objects.update(is_enabled=False)
        else:
            change: dict[str, Any] = (
                {"is_enabled": False} if what == "tool" else {"removed_at": clock.now()}
            )
            CatalogTool.objects.update(**change)
        with pytest.raises(ToolCallFailed, match="Go on without it"):
            call(tool)

    assert not service.asked


def call_offered(made: toolset.Call | None, organization: Organization) -> Any:
    """What a run is offered, called."""

    async def wait() -> Any:
        assert made is not None
        return await made(organization.pk, {})

    return loop.get().submit(wait()).result(10)


def test_what_is_not_for_the_run_any_more_is_not_called(organization: Organization) -> None:
    agent = make_agent(organization).pk
    changes: list[tuple[dict[str, Any], str]] = [
        ({"allowed_agents": [make_agent(organization).pk]}, "It is for other agents"),
        ({"required_roles": ["admin"]}, "does not hold a role"),
        ({"needs_approval": True}, "people have to approve"),
    ]
    with tool_service() as service:
        for number, (change, reason) in enumerate(changes):
            source = make_source(organization, name=f"s{number}", url=service.url)
            tool = make_tool(source)
            found = toolset.resolve(
                organization_id=organization.pk, names=[tool.tool_name], agent_id=agent
            )
            made = found.tools[0].call
            set_policy(tool, **change)
            with pytest.raises(ToolCallFailed, match=reason):
                call_offered(made, organization)

    assert not service.asked


def test_what_people_approve_is_called_although_they_must(organization: Organization) -> None:
    with tool_service() as service:
        tool = make_tool(make_source(organization, url=service.url), needs_approval=True)
        service.put(*CALL, {"said": "yes"})
        (offered,) = toolset.resolve(
            organization_id=organization.pk, names=[tool.tool_name], agent_id=tool.pk
        ).tools

        assert call_offered(offered.call, organization) == {"said": "yes"}


def test_no_credential_goes_anywhere_before_the_source_has_answered_there(
    organization: Organization,
) -> None:
    make_secret(organization)
    with tool_service() as old, tool_service() as new:
        before = make_source(organization, url=old.url)
        tool = make_tool(before)
        new.put("GET", "/api/mcp-tools", None, status=500)
        new.put(*CALL, {"said": "new"})
        source = sources.update_source(
            organization_id=organization.pk,
            source_id=before.pk,
            values={"url": new.url, "headers": {"X-Key": "{secret:weather_key}"}},
            actor=SYSTEM,
            now=clock.now(),
        )
        failed = refresh(source)
        with pytest.raises(ToolCallFailed, match="has not listed it since"):
            call(tool)
        new.put("GET", "/api/mcp-tools", {"tools": [{"name": "forecast"}]})
        refresh(source)
        answer = call(tool_called("weather:forecast"))

    assert (failed.is_stale, answer, old.asked) == (True, {"said": "new"}, [])


def test_an_answer_of_too_many_values_is_text(organization: Organization) -> None:
    content = b"[" + b"[]," * 60_000 + b"[]]"
    with tool_service() as service:
        tool = make_tool(make_source(organization, url=service.url))
        service.put(*CALL, content, headers={"content-type": "application/json"})

        assert call(tool) == content.decode()


def test_an_answer_that_is_too_deep_is_told(organization: Organization) -> None:
    with tool_service() as service:
        tool = make_tool(make_source(organization, url=service.url))
        content = b"[" * 300 + b"]" * 300
        service.put(*CALL, content, headers={"content-type": "application/json"})

        with pytest.raises(ToolCallFailed, match="too deep, to keep"):
            call(tool)


def test_an_open_breaker_lets_no_call_through(organization: Organization) -> None:
    with tool_service() as service:
        tool = make_tool(make_source(organization, url=service.url))
        service.put(*CALL, {})
        call(tool)
        switches.force(
            organization_id=organization.pk,
            name="tool:weather",
            state=Forced.OPEN,
            actor=SYSTEM,
            now=clock.now(),
        )
        with pytest.raises(ToolCallFailed, match="tool:weather open"):
            call(tool)

    assert len(service.asked) == 1


def test_another_organizations_tool_cannot_be_called(
    organization: Organization, other_organization: Organization
) -> None:
    tool = make_tool(make_source(organization))
    made = calls.call_tool(other_organization.pk, {}, tool_id=tool.pk, refusal=not_refused)

    with pytest.raises(ToolCallFailed, match="gone"):
        loop.get().submit(made).result(10)


def test_the_jobs_ask_what_is_due_and_offer_what_is_new(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Any] = []
    monkeypatch.setattr(loop.get(), "submit", handed.append)
    with tool_service() as service:
        tools = [{"name": "forecast", "inputSchema": SCHEMA}]
        service.put("GET", "/api/mcp-tools", {"tools": tools})
        source = make_source(organization, url=service.url)
        tasks.refresh_sources()
        tasks.refresh_sources()
        monkeypatch.undo()
        (made,) = handed
        loop.get().submit(made).result(20)
    tasks.offer_builtins()

    assert names(source) == ["weather:forecast"]
    assert CatalogTool.objects.filter(source=None).count() == len(builtins.BUILTINS)
    assert {"tools.refresh_sources", "tools.offer_builtins"} <= set(jobs.schedule())
