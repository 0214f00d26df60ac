"""`/api/v1/tools`, `/api/v1/tool-sources` and `/v1/toolcatalog` over HTTP."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.peers.tool_service import tool_service
from tests.tools.factories import SCHEMA, make_secret, make_source, make_tool
from tools.models import CatalogTool, ToolSource

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], ApiClient]
SOURCES = "/api/v1/tool-sources"
TOOLS = "/api/v1/tools"


def test_a_source_is_made_changed_and_removed(
    api: Api, admin: User, organization: Organization
) -> None:
    make_secret(organization)
    client = api(admin)
    body = {
        "name": "weather",
        "kind": "mcp",
        "url": "https://mcp.example.com/mcp",
        "headers": {"Authorization": "Bearer {secret:weather_key}"},
    }

    made = client.post(SOURCES, body)
    path = f"{SOURCES}/{made.json()['id']}"
    changed = client.patch(path, {"include": ["get_*"], "is_enabled": False})
    refused = client.post(f"{path}/refresh")
    taken = client.post(SOURCES, body)
    unknown = client.patch(path, {"name": "other"})
    gone = client.delete(path)

    shown = made.json()
    assert made.status_code == 201
    assert {key: shown[key] for key in body} == body
    assert (shown["refresh_seconds"], shown["is_stale"], shown["has_document"]) == (
        300,
        False,
        False,
    )
    assert (changed.json()["include"], changed.json()["is_enabled"]) == (["get_*"], False)
    assert (refused.status_code, refused.json()["code"]) == (409, "tool_source.disabled")
    assert (taken.status_code, taken.json()["code"]) == (409, "tool_source.name_taken")
    assert unknown.status_code == 422
    assert (gone.status_code, client.get(path).status_code) == (204, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"name": "Up", "kind": "mcp"}, "name"),
        ({"name": "a", "kind": "builtin"}, "kind"),
        ({"name": "a", "kind": "mcp"}, "url"),
        ({"name": "a", "kind": "mcp", "url": "https://a.example.com", "env": {}}, "env"),
        (
            {"name": "a", "kind": "mcp", "url": "https://a.b", "refresh_seconds": 1},
            "refresh_seconds",
        ),
    ],
)
def test_a_bad_source_is_refused(api: Api, admin: User, body: dict[str, Any], field: str) -> None:
    answer = api(admin).post(SOURCES, body)

    assert answer.status_code == 422
    assert field in [fault["field"] for fault in answer.json()["errors"]]
    assert not ToolSource.objects.exists()


def test_a_refresh_is_asked_for(api: Api, admin: User, organization: Organization) -> None:
    source = make_source(organization)
    ToolSource.objects.update(next_refresh_at=None)

    answer = api(admin).post(f"{SOURCES}/{source.pk}/refresh")

    assert answer.status_code == 202
    assert ToolSource.objects.get().next_refresh_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_test_shows_what_is_there_and_writes_nothing(
    api: Api, admin: User, organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    with tool_service() as service:
        source = make_source(organization, url=service.url)
        path = f"{SOURCES}/{source.pk}/test"
        away = api(admin).post(path)
        tools = [{"name": "a", "description": "Does.", "inputSchema": SCHEMA}, {"name": "b" * 200}]
        service.put("GET", "/api/mcp-tools", {"tools": tools})
        there = api(admin).post(path, headers={"Idempotency-Key": str(uuid4())})

    assert (away.status_code, away.json()["code"]) == (503, "tool_source.refuses")
    assert [row for row in caplog.records if row.name == "django.request"] == []
    assert there.json()["tools"] == [{"name": "a", "description": "Does.", "parameters": SCHEMA}]
    assert there.json()["left_out"][0]["reason"].startswith("its name")
    assert not CatalogTool.objects.exists()


def test_a_policy_is_set_and_taken_back(
    api: Api, admin: User, viewer: User, organization: Organization
) -> None:
    tool = make_tool(make_source(organization), declared_roles=["admin"])
    path = f"{TOOLS}/{tool.pk}"
    agent = str(make_agent(organization).pk)

    first = api(viewer).get(path).json()
    policy = {
        "side_effect": "read",
        "is_idempotent": True,
        "timeout_seconds": 5,
        "needs_approval": True,
        "allowed_agents": [agent],
        "required_roles": ["viewer"],
    }
    changed = api(admin).patch(path, policy).json()
    back = api(admin).patch(path, {"side_effect": None, "required_roles": None}).json()
    refused = api(viewer).patch(path, {"is_enabled": False})

    assert (first["side_effect"], first["required_roles"], first["has_policy"]) == (
        "write",
        ["admin"],
        False,
    )
    assert {key: changed[key] for key in policy} == policy
    assert (back["side_effect"], back["required_roles"]) == ("write", ["admin"])
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"timeout_seconds": 0},
        {"side_effect": "much"},
        {"allowed_agents": ["x"]},
        {"allowed_agents": ["018f0000-0000-7000-8000-000000000001"]},
        {"required_roles": ["nobody"]},
        {"tool_name": "x"},
    ],
)
def test_a_bad_policy_is_refused(
    api: Api, admin: User, organization: Organization, body: dict[str, Any]
) -> None:
    tool = make_tool(make_source(organization))

    answer = api(admin).patch(f"{TOOLS}/{tool.pk}", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(next(iter(body)))


def test_the_catalogue_says_what_the_source_says_and_what_waits_for_it(
    api: Api, viewer: User, organization: Organization
) -> None:
    source = make_source(organization)
    tool = make_tool(source, listed_side_effect="read", listed_idempotent=True)
    ToolSource.objects.update(reached_revision=2)

    shown = api(viewer).get(f"{TOOLS}/{tool.pk}").json()

    assert (shown["side_effect"], shown["is_idempotent"]) == ("write", False)
    assert (shown["declared_side_effect"], shown["declared_idempotent"]) == ("read", True)
    assert shown["awaits_refresh"] is True


def test_the_list_is_filtered(api: Api, viewer: User, organization: Organization) -> None:
    source = make_source(organization)
    make_tool(source, "forecast")
    make_tool(source, "note", is_enabled=False)
    make_tool(make_source(organization, name="news"), "latest")
    make_tool(source, "gone", removed_at=source.created_at)
    client = api(viewer)

    def found(**query: str) -> list[str]:
        return [item["tool_name"] for item in client.get(TOOLS, **query).json()["items"]]

    assert found() == ["news:latest", "weather:forecast", "weather:note"]
    assert found(service_name="weather") == ["weather:forecast", "weather:note"]
    assert found(source_id=str(source.pk), is_enabled="true") == ["weather:forecast"]


def test_the_catalogue_in_seed_004s_words(
    api: Api, viewer: User, organization: Organization
) -> None:
    source = make_source(organization)
    tool = make_tool(source)
    make_tool(make_source(organization, name="news"), "latest")
    client = api(viewer)

    listed = client.get("/v1/toolcatalog", serviceName="weather").json()
    one = client.get(f"/v1/toolcatalogentry/{tool.pk}").json()
    malformed = client.get("/v1/toolcatalogentry/x")

    (entry,) = listed["sys_toolCatalogs"]
    assert (listed["rowCount"], listed["dataName"]) == (1, "sys_toolCatalogs")
    assert entry == one["sys_toolCatalog"]
    assert {key: entry[key] for key in ("toolName", "serviceName", "description")} == {
        "toolName": "weather:forecast",
        "serviceName": "weather",
        "description": "The weather of the days to come.",
    }
    assert entry["parameters"] == SCHEMA
    assert entry["lastRefreshed"]
    assert (entry["_owner"], entry["isActive"]) == (None, True)
    assert entry["recordVersion"] == int(tool.updated_at.timestamp())
    assert malformed.status_code == 400
