"""OpenAPI services: documents become tools, arguments become requests."""

import json
import tracemalloc
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization
from kernel.json_schemas import MOST_WORK
from kernel.outbound import OutboundPolicy
from tests.peers.tool_service import Service, tool_service
from tests.tools.factories import (
    call,
    make_secret,
    make_source,
    make_tool,
    names,
    refresh,
    tool_called,
)
from tools.clients import openapi
from tools.clients.endpoints import Endpoint
from tools.errors import SourceRefuses, ToolCallFailed
from tools.models import CatalogTool, ToolSource

pytestmark = pytest.mark.django_db(transaction=True)
PET = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
HOST = {"name": "host", "in": "path", "required": True, "schema": {"type": "string"}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "/{version}", "variables": {"version": {"default": "v2"}}}],
    "paths": {
        "/pets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getPet",
                "summary": "One pet.",
                "parameters": [
                    {"name": "fields", "in": "query", "schema": {"type": "array"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "put": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}
                    },
                }
            },
        },
        "/pets": {
            "post": {
                "operationId": "add pet!",
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": PET}}},
            }
        },
        "/photos": {
            "post": {
                "operationId": "upload",
                "requestBody": {"required": True, "content": {"multipart/form-data": {}}},
            }
        },
        "/lost/{id}": {"get": {"operationId": "lost"}},
    },
    "components": {
        "parameters": {
            "Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        },
        "schemas": {"Pet": PET},
    },
}
YAML = b"""
openapi: 3.0.3
info: {title: Pets, version: 2020-01-01}
servers: [{url: https://pets.example.com/}]
paths:
  /pets:
    get:
      description: All pets.
"""


def published(organization: Organization, service: Service, **values: Any) -> Any:
    """A source that has been read."""
    service.put("GET", "/openapi.json", DOCUMENT)
    url = f"{service.url}/openapi.json"
    return refresh(make_source(organization, name="pets", kind="openapi", url=url, **values))


def test_operations_become_tools(organization: Organization) -> None:
    with tool_service() as service:
        source = published(organization, service)

    tool = tool_called("pets:getPet")
    assert (source.last_error, source.protocol) == ("", "OpenAPI 3.1.0")
    assert names(source) == ["pets:add_pet", "pets:getPet", "pets:put_pets_id"]
    assert [each["name"] for each in source.left_out] == ["upload", "lost"]
    assert tool.description == "One pet."
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "fields": {"type": "array"},
            "X-Trace": {"type": "string"},
            "id": {"type": "string"},
        },
        "required": ["id"],
        "additionalProperties": False,
    }
    effects = {
        tool.tool_name: (tool.effective_side_effect, tool.effective_idempotent)
        for tool in CatalogTool.objects.all()
    }
    assert effects == {
        "pets:add_pet": ("write", False),
        "pets:getPet": ("read", True),
        "pets:put_pets_id": ("write", True),
    }


def test_a_request_is_made_of_the_arguments_alone(organization: Organization) -> None:
    make_secret(organization)
    with tool_service() as service:
        headers = {"X-Api-Key": "{secret:weather_key}", "X-Trace": "ours"}
        published(organization, service, headers=headers)
        service.put("GET", "/v2/pets/a%2Fb%7Bid%7D", {"name": "Rex"})
        service.put("PUT", "/v2/pets/1", {"saved": True})
        service.put("POST", "/v2/pets", b"made", headers={"content-type": "text/plain"})

        found = call(
            tool_called("pets:getPet"),
            **{"id": "a/b{id}", "fields": ["name", "age"], "X-Trace": "theirs"},
        )
        saved = call(tool_called("pets:put_pets_id"), id="1", body={"name": "Rex"})
        made = call(tool_called("pets:add_pet"), body={"name": "R & x", "age": 3})

    _, got, put, posted = service.asked
    assert (found, saved, made) == ({"name": "Rex"}, {"saved": True}, "made")
    assert got.path == "/v2/pets/a%2Fb%7Bid%7D?fields=name&fields=age"
    assert (got.headers["x-api-key"], got.headers["x-trace"]) == ("canary-5fe1c0", "ours")
    assert put.body == {"name": "Rex"}
    assert posted.body == "name=R+%26+x&age=3"


def test_no_argument_leads_to_another_path(organization: Organization) -> None:
    with tool_service() as service:
        published(organization, service)
        for value in ("..", ".", ""):
            with pytest.raises(ToolCallFailed, match="path cannot hold"):
                call(tool_called("pets:getPet"), id=value)

    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": {"error": "no pet, canary-5fe1c0"}, "status": 404}, "404: .*no pet, .secret:"),
        ({"body": None, "status": 503}, "HTTP 503"),
        ({"body": b"", "status": 302, "headers": {"location": "http://10.0.0.1/"}}, "HTTP 302"),
        ({"body": b"{", "headers": {"content-type": "application/json"}}, "damaged"),
    ],
)
def test_a_bad_answer_is_told_to_the_model(
    organization: Organization, answer: dict[str, Any], reason: str
) -> None:
    make_secret(organization)
    with tool_service() as service:
        published(organization, service, headers={"X-Api-Key": "{secret:weather_key}"})
        service.put("GET", "/v2/pets/1", **answer)
        with pytest.raises(ToolCallFailed, match=reason) as failed:
            call(tool_called("pets:getPet"), id="1")

    assert "canary" not in str(failed.value)


def test_a_long_answer_is_cut_and_a_late_one_given_up(organization: Organization) -> None:
    with tool_service() as service:
        published(organization, service)
        service.put("GET", "/v2/pets/1", b"x" * 2_000_000)
        long = call(tool_called("pets:getPet"), id="1")
        CatalogTool.objects.update(timeout_seconds=1)
        service.put("GET", "/v2/pets/1", {}, seconds=1.5)
        with pytest.raises(ToolCallFailed, match="in time"):
            call(tool_called("pets:getPet"), id="1")

    assert long.endswith("x [cut: the answer was longer than 1 MB]")
    assert len(long) < 1_000_100


def test_a_pasted_document_needs_no_address(organization: Organization) -> None:
    source = make_source(organization, name="pets", kind="openapi", url="", document=YAML.decode())

    assert refresh(source).protocol == "OpenAPI 3.0.3"
    tool = tool_called("pets:get_pets")
    assert tool.binding["url"] == "https://pets.example.com/pets"
    assert tool.description == "All pets."


def test_credentials_go_to_no_host_that_an_earlier_document_named(
    organization: Organization,
) -> None:
    make_secret(organization)
    with tool_service() as service, tool_service() as other:
        servers = [{"url": other.url}]
        service.put("GET", "/openapi.json", {**DOCUMENT, "servers": servers})
        refresh(
            make_source(organization, name="p", kind="openapi", url=f"{service.url}/openapi.json")
        )
        # As a worker finds it that read the tool before and the source after the change.
        ToolSource.objects.update(headers={"X-Api-Key": "{secret:weather_key}"})
        with pytest.raises(ToolCallFailed, match="credentials do not go there"):
            call(tool_called("p:getPet"), id="1")

    assert other.asked == []


def test_no_argument_leads_to_another_host(organization: Organization) -> None:
    make_secret(organization)
    path = {"get": {"operationId": "p", "parameters": [HOST]}}
    template = {"openapi": "3.0.0", "servers": [{"url": "http://{host}"}], "paths": {"/p": path}}
    values = {
        "kind": "openapi",
        "url": "",
        "document": json.dumps(template),
        "headers": {"X-Api-Key": "{secret:weather_key}"},
    }
    refused = refresh(make_source(organization, name="t", **values))
    stored = make_tool(
        make_source(organization, name="u", **values),
        binding={
            "method": "get",
            "url": "http://{host}/p",
            "parameters": [{"name": "host", "in": "path", "argument": "host"}],
            "body": None,
        },
    )

    assert "variables that it does not describe" in refused.last_error
    with pytest.raises(ToolCallFailed, match="not whole"):
        call(stored, host="evil.example.com")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (
            {
                "url": "{v0}",
                "variables": {f"v{n}": {"default": f"{{v{n + 1}}}" * 2} for n in range(40)},
            },
            "too long an address",
        ),
        ({"url": "http://[::"}, "names no server"),
        ({"url": "http://a.example.com:x"}, "names no server"),
    ],
)
def test_a_server_that_is_none_is_refused(
    organization: Organization, server: dict[str, Any], reason: str
) -> None:
    document = json.dumps({"openapi": "3.0.0", "servers": [server], "paths": {}})

    source = refresh(make_source(organization, kind="openapi", url="", document=document))

    assert reason in source.last_error


@pytest.mark.parametrize(
    ("places", "letters"), [(600, 100_000), (1_000, 100_000), (1, 3_900_000), (10_000, 1)]
)
def test_a_servers_address_grows_within_bounds(places: int, letters: int) -> None:
    server = {"url": "{a}" * places, "variables": {"a": {"default": "x" * letters}}}
    document = {"openapi": "3.0.0", "servers": [server], "paths": {}}
    endpoint = Endpoint(source_id=uuid4(), name="", kind="", key="", policy=OutboundPolicy())

    tracemalloc.start()
    try:
        with pytest.raises(SourceRefuses, match="too long an address"):
            openapi.server_of(document, endpoint)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000


def test_a_number_of_endless_digits_is_no_address() -> None:
    """YAML reads it from hexadecimal; Python does not write it."""
    server = {"url": "{a}", "variables": {"a": {"default": 16**5000}}}
    endpoint = Endpoint(source_id=uuid4(), name="", kind="", key="", policy=OutboundPolicy())

    with pytest.raises(SourceRefuses, match="too long an address"):
        openapi.server_of({"openapi": "3.0.0", "servers": [server]}, endpoint)


def test_many_large_operations_cost_little(organization: Organization) -> None:
    large = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(1_800)}}
    parameters = [
        {"name": f"q{n}", "in": "query", "schema": {"$ref": "#/components/schemas/Large"}}
        for n in range(100)
    ]
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://a.example.com"}],
        "paths": {f"/{n}": {"get": {"parameters": parameters}} for n in range(20)},
        "components": {"schemas": {"Large": large}},
    }
    endpoint = Endpoint(source_id=uuid4(), name="", kind="", key="", policy=None)  # type: ignore[arg-type]

    listing = openapi.read(document, endpoint)

    assert [each["reason"] for each in listing.left_out] == ["its schema is too large"] * 20
    assert listing.budget.left > MOST_WORK - 2_000


def test_two_parameters_of_one_name_are_no_tool(organization: Organization) -> None:
    twice: list[Any] = [{"name": "a", "in": place, "schema": {}} for place in ("query", "header")]
    path = {
        "get": {"operationId": "p", "parameters": [{"name": "header_a", "in": "query"}, *twice]}
    }
    document = json.dumps(
        {"openapi": "3.0.0", "servers": [{"url": "https://a.example.com"}], "paths": {"/p": path}}
    )

    source = refresh(make_source(organization, kind="openapi", url="", document=document))

    assert source.left_out == [{"name": "p", "reason": "two of its parameters have one name"}]


def test_credentials_go_to_no_other_host_unasked(organization: Organization) -> None:
    make_secret(organization)
    with tool_service() as service:
        other = {**DOCUMENT, "servers": [{"url": "https://evil.example.com"}]}
        service.put("GET", "/other.json", other)
        headers = {"X-Api-Key": "{secret:weather_key}"}
        values = {"kind": "openapi", "url": f"{service.url}/other.json", "headers": headers}
        refused = refresh(make_source(organization, **values))
        wanted = refresh(
            make_source(organization, name="w", server_url="https://a.example.com/", **values)
        )

    assert "gets no credentials unasked" in refused.last_error
    assert wanted.last_error == ""
    assert tool_called("w:add_pet").binding["url"] == "https://a.example.com/pets"
