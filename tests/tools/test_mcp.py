"""Tools of real MCP servers."""

import sys
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest
from mcp.client.client import Client
from mcp_types import CallToolResult

from accounts.models import Organization
from breakers.choices import BreakerState
from breakers.models import CircuitBreaker
from breakers.operations import standings
from kernel import clock, loop
from kernel.actors import SYSTEM
from secrets_vault.operations import keeping
from tests.peers.mcp_server import mcp_site
from tests.tools.factories import (
    call,
    make_secret,
    make_source,
    names,
    not_refused,
    refresh,
    tool_called,
)
from tools.clients import mcp, mcp_streams
from tools.errors import ToolCallFailed
from tools.models import CatalogTool
from tools.operations import calls

pytestmark = pytest.mark.django_db(transaction=True)
ALL = [f"weather:{name}" for name in ("fail", "forecast", "note", "shout", "wait")]


@pytest.mark.parametrize(
    ("is_legacy", "protocol"), [(False, "MCP 2026-07-28"), (True, "MCP 2025-11-25")]
)
def test_a_server_is_listed_and_called(
    organization: Organization, *, is_legacy: bool, protocol: str
) -> None:
    make_secret(organization)
    with mcp_site(is_legacy=is_legacy) as site:
        headers = {"Authorization": "Bearer {secret:weather_key}"}
        source = make_source(organization, kind="mcp", url=site.url, headers=headers)

        refreshed = refresh(source)
        answer = call(tool_called("weather:forecast"), city="Oslo", days=2)
        written = call(tool_called("weather:note"), text="rain")

    assert (refreshed.last_error, refreshed.protocol) == ("", protocol)
    assert names(source) == ALL
    assert answer == {"city": "Oslo", "days": 2, "sky": "clear"}
    assert (written, site.calls) == ("noted: rain", ["forecast", "note"])
    assert {sent["authorization"] for sent in site.headers} == {"Bearer canary-5fe1c0"}


def test_hints_are_defaults_and_failures_are_for_the_model(organization: Organization) -> None:
    with mcp_site() as site:
        refresh(make_source(organization, kind="mcp", url=site.url))
        with pytest.raises(ToolCallFailed, match="barometer"):
            call(tool_called("weather:fail"))

    declared = {
        tool.tool_name: (tool.effective_side_effect, tool.effective_idempotent)
        for tool in CatalogTool.objects.all()
    }
    assert declared["weather:forecast"] == ("read", True)
    assert declared["weather:note"] == ("write", False)
    assert declared["weather:fail"] == ("write", True)
    assert faults(organization) == 0


def test_a_server_that_is_away_or_slow_is_at_fault(organization: Organization) -> None:
    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        tool = tool_called("weather:wait")
        CatalogTool.objects.filter(pk=tool.pk).update(timeout_seconds=1)
        began = time.monotonic()
        with pytest.raises(ToolCallFailed, match="in time"):
            call(tool)
        took = time.monotonic() - began
        site.status = 503
        with pytest.raises(ToolCallFailed, match="HTTP 503"):
            call(tool_called("weather:note"), text="rain")
    with pytest.raises(ToolCallFailed, match="reached"):
        call(tool_called("weather:note"), text="rain")
    gone = refresh(source)

    assert took < 10
    assert faults(organization) == 3
    assert (gone.is_stale, bool(gone.last_error)) == (True, True)
    assert names(source) == ALL


def test_a_server_that_came_back_is_connected_to_anew(organization: Organization) -> None:
    with mcp_site(is_legacy=True) as site:
        refresh(make_source(organization, kind="mcp", url=site.url))
        (session,) = mcp._sessions._open.values()
        loop.get().submit(session.close()).result(20)

        answer = call(tool_called("weather:forecast"), city="Oslo")

    assert answer["city"] == "Oslo"


def test_a_session_that_the_server_forgot_is_begun_anew(organization: Organization) -> None:
    with mcp_site(is_legacy=True) as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        site.once = [404]
        answer = call(tool_called("weather:forecast"), city="Oslo")
        site.once = [404]
        again = refresh(source)

    assert (answer["city"], again.last_error, site.calls) == ("Oslo", "", ["forecast"])


def test_a_changed_source_has_another_connection(organization: Organization) -> None:
    secret = make_secret(organization)
    with mcp_site() as site:
        headers = {"Authorization": "Bearer {secret:weather_key}"}
        refresh(make_source(organization, kind="mcp", url=site.url, headers=headers))
        keeping.rotate_secret(
            organization_id=organization.pk,
            secret_id=secret.pk,
            value="a newer one",
            actor=SYSTEM,
            now=clock.now(),
        )
        call(tool_called("weather:forecast"), city="Oslo")

    assert site.headers[-1]["authorization"] == "Bearer a newer one"


def test_a_credential_that_is_refused_is_no_fault(organization: Organization) -> None:
    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        site.status = 401
        with pytest.raises(ToolCallFailed, match=r"HTTP 401\. Check the source's headers"):
            call(tool_called("weather:note"), text="rain")
        refused = refresh(source)

    assert "HTTP 401" in refused.last_error
    assert faults(organization) == 0


def test_an_answer_without_measure_is_cut_off(organization: Organization) -> None:
    with mcp_site() as site:
        refresh(make_source(organization, kind="mcp", url=site.url))
        with pytest.raises(ToolCallFailed):
            call(tool_called("weather:shout"), size=5_000_000)
        answer = call(tool_called("weather:shout"), size=20)

    assert answer == "x" * 20


def test_an_answer_of_too_many_values_is_refused(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        monkeypatch.setattr(mcp_streams, "MOST_VALUES", 10)
        with pytest.raises(ToolCallFailed, match="60000 values at once"):
            call(tool_called("weather:forecast"), city="Oslo")
        refused = refresh(source)
        monkeypatch.undo()
        answer = call(tool_called("weather:forecast"), city="Oslo")

    assert (answer["city"], refused.last_error) == ("Oslo", mcp_streams.TOO_MUCH)
    assert faults(organization) == 0


def test_what_the_sdk_cannot_read_is_told_without_its_words(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(*_args: Any, **_named: Any) -> None:
        CallToolResult.model_validate({"content": [{}]})

    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        monkeypatch.setattr(Client, "call_tool", unreadable)
        monkeypatch.setattr(Client, "list_tools", unreadable)
        with pytest.raises(ToolCallFailed, match="could not read what the MCP server sent"):
            call(tool_called("weather:note"), text="rain")

        assert refresh(source).last_error == "The hub could not read what the MCP server sent."


def test_a_cancelled_call_says_nothing_about_the_server(organization: Organization) -> None:
    with mcp_site() as site:
        refresh(make_source(organization, kind="mcp", url=site.url))
        tool = tool_called("weather:wait")
        made = calls.call_tool(organization.pk, {}, tool_id=tool.pk, refusal=not_refused)
        running = loop.get().submit(made)
        assert site.waiting.wait(10)
        running.cancel()
        with pytest.raises(CancelledError):
            running.result(10)

        assert call(tool_called("weather:forecast"), city="Oslo")["city"] == "Oslo"
    assert faults(organization) == 0


def test_a_private_address_is_not_reached(organization: Organization, settings: Any) -> None:
    with mcp_site() as site:
        source = make_source(organization, kind="mcp", url=site.url)
        settings.HUB_OUTBOUND_ALLOW = ()
        refused = refresh(source)

    assert "HUB_OUTBOUND_ALLOW" in refused.last_error
    assert not site.headers


def test_two_organizations_share_no_connection(
    organization: Organization, other_organization: Organization
) -> None:
    with mcp_site() as site:
        ours = refresh(make_source(organization, kind="mcp", url=site.url))
        theirs = refresh(make_source(other_organization, kind="mcp", url=site.url))

        assert set(mcp._sessions._open) == {ours.pk, theirs.pk}


def test_a_command_of_the_environment_is_spoken_to(
    organization: Organization, settings: Any
) -> None:
    command = (sys.executable, "-m", "tests.peers.mcp_server")
    settings.HUB_MCP_COMMANDS = {"weather": command}
    source = refresh(make_source(organization, kind="mcp", url="", command="weather"))

    answer = call(tool_called("weather:forecast"), city="Oslo")
    settings.HUB_MCP_COMMANDS = {}
    with pytest.raises(ToolCallFailed, match="HUB_MCP_COMMANDS"):
        call(tool_called("weather:forecast"), city="Oslo")

    assert (answer["city"], names(source)) == ("Oslo", ALL)


def faults(organization: Organization) -> int:
    """What the source's breaker counted."""
    breaker = CircuitBreaker.objects.get(organization=organization, name="tool:weather")
    (shown,) = standings.show(breakers=[breaker], now=clock.now())
    assert shown.state == BreakerState.CLOSED
    return shown.standing.failure_count
