"""What the OpenAPI document says is what the hub answers.

Every test that asks through `tests.clients.HubClient` holds it too: each answer is compared.
"""

from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.http import HttpResponse
from django.test import Client

from tests.accounts import factories
from tests.clients import ApiClient, HubClient
from tests.contract import conformance, rows
from tests.contract import world as worlds
from tests.contract.test_authorization import CALLERS, table
from tests.contract.world import World

OWN = "/api/v1/auth/me"


@pytest.fixture
def world(db: None) -> World:
    return worlds.make()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, item in conformance.document()["paths"].items()
        for method, operation in item.items()
    ]


def problem(status: int, code: str) -> HttpResponse:
    body = {
        "type": "urn:x",
        "title": "",
        "status": status,
        "detail": "",
        "code": code,
        "errors": [],
        "request_id": "",
    }
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/problem+json")


def test_every_status_of_the_matrix_is_documented() -> None:
    documented = {
        (method, rows.template(path)): set(operation["responses"])
        for method, path, operation in operations()
    }

    missing = {
        f"{method} {path}: {row[name]}"
        for (method, path), row in table().items()
        for name in CALLERS
        if row[name] not in documented[method, path]
    }

    assert not missing


def test_every_get_answers_as_documented(world: World) -> None:
    client = ApiClient(world.admin)
    asked = 0

    for method, path, _ in operations():
        template = rows.template(path)
        if method == "GET" and not path.endswith(("/stream/", "/export/")):
            assert client.get(world.path(template)).status_code < 300, path
            asked += 1

    assert asked > 35


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (problem(418, "x.y"), "418 is not documented"),
        (problem(409, "task.fixed"), "409 is not documented"),
        (problem(404, "agent.not_found"), "the code agent.not_found is not documented"),
        (problem(401, "auth.required"), "without ['WWW-Authenticate']"),
        (HttpResponse(b"{}", content_type="application/json"), "'id' is a required property"),
        (HttpResponse(b"<p>", content_type="text/html"), "the media type is text/html"),
        (HttpResponse(b""), "the body is b''"),
    ],
    ids=["status", "status elsewhere", "code", "header", "body", "media", "empty"],
)
def test_what_differs_is_found(answer: HttpResponse, complaint: str) -> None:
    found = conformance.complaints("GET", f"/api/v1/tasks/{uuid4()}", answer)

    assert any(complaint in each for each in found)


@pytest.mark.parametrize("value", [None, "soon", "2026-01-01T00:00:00"])
def test_fields_that_are_more_or_other_than_documented_are_found(value: Any) -> None:
    shown = {"id": str(uuid4()), "created_at": value, "colour": "red"}
    answer = HttpResponse(orjson.dumps(shown), content_type="application/json")

    found = conformance.complaints("GET", OWN, answer)

    assert any("$.created_at" in each for each in found)
    assert any("'colour' was unexpected" in each for each in found)


@pytest.mark.parametrize("name", ["bearer", "accessTokenHeader", "apiKey", "accessTokenCookie"])
def test_every_security_scheme_lets_in(name: str, db: None) -> None:
    scheme = conformance.document()["components"]["securitySchemes"][name]
    token = factories.make_token(factories.make_user(factories.make_organization()))
    client = HubClient()
    headers = {}
    if scheme["type"] == "http":
        headers = {"Authorization": f"{scheme['scheme'].title()} {token}"}
    elif scheme["in"] == "header":
        headers = {scheme["name"]: token}
    else:
        client.cookies[scheme["name"]] = token

    assert client.get(OWN).status_code == (200 if client.cookies else 401)
    assert client.get(OWN, headers=headers).status_code == 200


def test_every_operation_says_what_the_caller_needs() -> None:
    described = {operation["operationId"]: operation for _, _, operation in operations()}

    assert "Needs the permission `task.edit`." in described["task_create"]["description"]
    assert "no API key" in described["api_key_list"]["description"]
    assert "second factor" in described["role_create"]["description"]
    assert "given once" in described["auth_login"]["description"]
    assert "given once" in described["api_key_create"]["description"]
    assert "given once" in described["profile_change_password"]["description"]
    assert "given once" not in described["profile_logout"]["description"]


def test_names_are_fit_for_an_sdk() -> None:
    names = set(conformance.document()["components"]["schemas"])

    assert not [n for n in names if n.endswith(("Output", "Request", "Enum", "List"))]
    assert {"Task", "TaskInput", "TaskChange", "TaskPage", "TaskStatus"} <= names


def test_probes_answer_as_documented(db: None) -> None:
    client = HubClient()

    for path in ("/health", "/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code in {200, 503}


def test_the_client_of_the_tests_complains(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(Client, "request", lambda *_, **__: problem(418, "x.y"))

    with pytest.raises(AssertionError, match="418 is not documented"):
        HubClient().get("/api/v1/tasks")
