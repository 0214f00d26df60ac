"""One call of a service's tool: what it passes, and what comes back."""

from typing import Any

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from breakers.choices import Forced
from breakers.operations import switches
from kernel import clock, jobs, loop
from kernel.actors import SYSTEM
from tests.peers.tool_service import tool_service
from tests.tools.factories import SCHEMA, call, make_secret, make_source, make_tool, names
from tools import tasks
from tools.errors import ToolCallFailed
from tools.models import CatalogTool, ToolSource
from tools.operations import builtins, calls

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
    made = calls.call_tool(other_organization.pk, {}, tool_id=tool.pk)

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
