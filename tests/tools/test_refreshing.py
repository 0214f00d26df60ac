"""How the catalogue follows its sources."""

from datetime import timedelta
from typing import Any

import pytest
from mcp_types import ToolAnnotations

from accounts.models import Organization
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock
from kernel.actors import SYSTEM
from tests.peers.mcp_server import mcp_site
from tests.peers.tool_service import Service, tool_service
from tests.threads import race
from tests.tools.factories import (
    SCHEMA,
    make_secret,
    make_source,
    names,
    refresh,
    set_policy,
    tool_called,
)
from tools.clients.endpoints import Endpoint, Listing
from tools.models import CatalogTool, ToolSource
from tools.operations import policies, reaching, refreshing, sources

pytestmark = pytest.mark.django_db(transaction=True)
LIST = ("GET", "/api/mcp-tools")


def listed(service: Service, *found: str, **more: object) -> None:
    tools = [
        {"name": name, "description": "Does.", "inputSchema": SCHEMA, **more} for name in found
    ]
    service.put(*LIST, {"tools": tools})


def test_a_service_fills_the_catalogue(organization: Organization) -> None:
    make_secret(organization)
    with tool_service() as service:
        listed(service, "forecast", "note", requiredRoles=["admin"])
        headers = {"X-Key": "{secret:weather_key}"}
        source = refresh(make_source(organization, url=service.url + "/", headers=headers))

    tool = tool_called("weather:forecast")
    assert names(source) == ["weather:forecast", "weather:note"]
    assert (tool.description, tool.declared_roles) == ("Does.", ["admin"])
    assert tool.parameters == SCHEMA
    assert (tool.effective_side_effect, tool.effective_idempotent) == ("write", False)
    assert service.asked[0].headers["x-key"] == "canary-5fe1c0"
    assert (source.is_stale, source.last_error, source.claimed_until) == (False, "", None)
    assert source.next_refresh_at > clock.now()  # type: ignore[operator]  # it has one


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": None, "status": 500}, "HTTP 500"),
        ({"body": None, "status": 403}, "HTTP 403"),
        ({"body": b"<html>"}, "no JSON"),
        ({"body": {"tools": 1}}, "no list"),
        ({"body": b"", "status": 302, "headers": {"location": "http://10.0.0.1/"}}, "HTTP 302"),
        ({"body": b"x" * 4_000_001}, "more than the hub reads"),
    ],
)
def test_a_source_that_fails_keeps_its_tools(
    organization: Organization, answer: dict[str, object], reason: str
) -> None:
    with tool_service() as service:
        listed(service, "forecast")
        source = refresh(make_source(organization, url=service.url))
        service.put(*LIST, **answer)  # type: ignore[arg-type]
        failed = refresh(source)
        stale = tool_called("weather:forecast").is_stale
        listed(service, "forecast")
        better = refresh(source)

    assert reason in failed.last_error
    assert (failed.is_stale, stale) == (True, True)
    assert (better.is_stale, better.last_error) == (False, "")
    assert not tool_called("weather:forecast").is_stale
    seen = OutboxEvent.objects.filter(type="tool_source.refreshed").order_by("pk")
    assert [event.data["is_stale"] for event in seen] == [False, True, False]


def test_what_is_no_longer_listed_goes_and_comes_back_with_its_policy(
    organization: Organization,
) -> None:
    with tool_service() as service:
        listed(service, "forecast", "note")
        source = refresh(make_source(organization, url=service.url))
        policies.set_policy(
            organization_id=organization.pk,
            tool_id=tool_called("weather:note").pk,
            values={"needs_approval": True},
            actor=SYSTEM,
            now=clock.now(),
        )
        listed(service)
        refresh(source)
        without = names(source)
        listed(service, "forecast", "note")
        refresh(source)

    assert (without, names(source)) == ([], ["weather:forecast", "weather:note"])
    assert tool_called("weather:note").needs_approval
    assert not tool_called("weather:forecast").has_policy


def test_only_what_is_wanted_comes_and_what_is_wrong_is_told(organization: Organization) -> None:
    with tool_service() as service:
        schema = {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}}
        tools: list[dict[str, Any]] = [
            {"name": name} for name in ("get_a", "get_b", "put_a", 7, "x" * 200)
        ]
        tools += [{"name": "get_bad", "inputSchema": schema}]
        service.put(*LIST, {"tools": tools})
        source = refresh(
            make_source(organization, url=service.url, include=["get_*", "7"], exclude=["*_b"])
        )

    assert names(source) == ["weather:get_a"]
    assert [each["name"] for each in source.left_out] == ["", "get_bad"]
    assert source.left_out[1]["reason"] == "its schema refers to another document"


def test_too_many_tools_are_refused(organization: Organization) -> None:
    with tool_service() as service:
        listed(service, *(f"tool{number}" for number in range(501)))
        source = refresh(make_source(organization, url=service.url))

    assert "more than 500 tools" in source.last_error
    assert names(source) == []


def test_what_a_service_sends_back_holds_no_secret(organization: Organization) -> None:
    make_secret(organization)
    with tool_service() as service:
        tools = [{"name": "a", "description": "Key canary-5fe1c0."}]
        service.put(*LIST, {"tools": tools})
        headers = {"X-Key": "{secret:weather_key}"}
        refresh(make_source(organization, url=service.url, headers=headers))

    assert tool_called("weather:a").description == "Key [secret:weather_key]."


def test_a_tool_that_is_called_after_a_secret_is_left_out(organization: Organization) -> None:
    make_secret(organization)
    make_secret(organization, name="other", value="another-canary-77e1")
    with tool_service() as service:
        tools: list[dict[str, Any]] = [
            {"name": "a_canary-5fe1c0"},
            {"name": "b", "requiredRoles": ["canary-5fe1c0"]},
            {"name": "c_another-canary-77e1"},
            {"name": "d", "description": "another-canary-77e1"},
        ]
        service.put(*LIST, {"tools": tools})
        headers = {"X-Key": "{secret:weather_key}"}
        source = refresh(make_source(organization, url=service.url, headers=headers))

    assert names(source) == ["weather:d"]
    assert tool_called("weather:d").description == "[redacted]"
    assert [each["name"] for each in source.left_out] == [
        "a_[secret:weather_key]",
        "b",
        "c_[redacted]",
    ]
    assert {each["reason"] for each in source.left_out} == {
        "its name, its roles or its address hold the value of a secret"
    }


def hinted(site: Any, *, reads: bool) -> None:
    """`note` as the server calls it from now on."""
    hints = ToolAnnotations(read_only_hint=reads)
    site.tools._tool_manager._tools["note"].annotations = hints


def test_no_source_makes_a_tool_milder(organization: Organization) -> None:
    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        hinted(site, reads=True)
        refresh(source)
        milder = tool_called("weather:note")
        person = set_policy(milder, side_effect="read", is_idempotent=True)
        decided = (person.effective_side_effect, person.effective_idempotent)
        back = set_policy(milder, side_effect=None, is_idempotent=None)
        hinted(site, reads=False)
        refresh(source)

    assert (milder.effective_side_effect, milder.effective_idempotent) == ("write", False)
    assert (milder.said_side_effect, milder.said_idempotent) == ("read", True)
    assert decided == ("read", True)
    assert (back.effective_side_effect, back.effective_idempotent) == ("write", False)
    assert tool_called("weather:note").listed_side_effect is None
    fields = [{"name": "weather:note", "fields": ["side_effect", "is_idempotent"]}]
    rows = AuditEvent.objects.filter(action="tool_source.redeclare").order_by("pk")
    assert [row.details for row in rows] == [{"name": "weather", "count": 1, "tools": fields}] * 2
    event = OutboxEvent.objects.filter(type="tool_source.redeclared").first()
    assert event is not None
    assert event.data == {
        "id": str(source.pk),
        "name": "weather",
        "count": 1,
        "tools": ["weather:note"],
    }


def test_a_source_makes_a_tool_stricter_at_once(organization: Organization) -> None:
    with mcp_site() as site:
        hinted(site, reads=True)
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        first = tool_called("weather:note").effective_side_effect
        hinted(site, reads=False)
        refresh(source)

    assert (first, tool_called("weather:note").effective_side_effect) == ("read", "write")


def test_a_tool_that_was_away_for_a_while_comes_back_no_milder(organization: Organization) -> None:
    with mcp_site() as site:
        source = refresh(make_source(organization, kind="mcp", url=site.url))
        hinted(site, reads=True)
        note = site.tools._tool_manager._tools.pop("note")
        without = names(refresh(source))
        site.tools._tool_manager._tools["note"] = note
        refresh(source)

    assert "weather:note" not in without
    assert tool_called("weather:note").effective_side_effect == "write"


def test_of_tools_that_are_gone_only_some_are_remembered(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "MOST_REMEMBERED", 1)
    with tool_service() as service:
        listed(service, "a", "b", "c")
        source = refresh(make_source(organization, url=service.url))
        listed(service)
        refresh(source)

    assert CatalogTool.objects.filter(source=source).count() == 1


def test_a_secret_that_is_gone_is_told(organization: Organization) -> None:
    secret = make_secret(organization)
    source = make_source(organization, headers={"X-Key": "{secret:weather_key}"})
    secret.delete()

    assert "The vault has no secret 'weather_key'" in refresh(source).last_error


def test_one_process_at_a_time_asks_a_source(organization: Organization) -> None:
    make_source(organization)
    now = clock.now()

    claimed = race(*[lambda: refreshing.claim_due(now=now) for _ in range(4)])
    later = refreshing.claim_due(now=now + timedelta(seconds=61))

    assert sorted(map(len, claimed)) == [0, 0, 0, 1]
    assert len(later) == 1


def test_a_refresh_that_began_before_a_change_writes_nothing(organization: Organization) -> None:
    source = make_source(organization)
    (claimed,) = refreshing.claim_due(now=clock.now())
    sources.update_source(
        organization_id=organization.pk,
        source_id=source.pk,
        values={"url": "https://other.example.com"},
        actor=SYSTEM,
        now=clock.now(),
    )
    endpoint = Endpoint(source_id=source.pk, name="", kind="", key="", policy=None)  # type: ignore[arg-type]

    assert not refreshing.swap(source=claimed, listing=Listing(endpoint, ""), now=clock.now())
    assert not refreshing.fail(source=claimed, reason="", now=clock.now())
    assert ToolSource.objects.get().last_refreshed_at is None


def test_a_disabled_source_is_not_asked(organization: Organization) -> None:
    source = make_source(organization, is_enabled=False)

    assert refreshing.claim_due(now=clock.now()) == []
    assert source.next_refresh_at is None


def test_the_log_does_not_repeat_what_cannot_be_read(
    organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def unreadable(_endpoint: Endpoint) -> Listing:
        raise ValueError("what it sent")

    monkeypatch.setattr(reaching, "list_tools", unreadable)
    source = refresh(make_source(organization))

    assert "could not read" in source.last_error
    assert "tools.source.unreadable" in caplog.text
    assert "ValueError" in caplog.text
    assert "what it sent" not in caplog.text
