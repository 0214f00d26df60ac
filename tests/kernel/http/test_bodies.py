"""Bodies and queries that nobody should send: one problem document, nothing written."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import User
from tests.accounts import factories
from tests.kernel.http.conftest import Api

World = dict[str, str]
NUL: Final = "a\x00b"
DEEP: Final = b"[" * 2000 + b"]" * 2000
BODIES: Final = [
    ("post", "/agents"),
    ("patch", "/agents/{agent}"),
    ("post", "/tasks"),
    ("patch", "/tasks/{task}"),
    ("put", "/auth/me"),
    ("post", "/auth/login"),
    ("post", "/auth/refresh"),
]
every_body = pytest.mark.parametrize(("method", "path"), BODIES)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.fixture
def send(admin: User, world: World) -> Callable[..., Any]:
    """`send(method, path, raw, content_type)` as an administrator."""
    client = Client(
        headers={"Authorization": f"Bearer {factories.make_token(admin)}"},
        raise_request_exception=False,
    )

    def request(
        method: str, path: str, raw: bytes, content_type: str = "application/json", **more: Any
    ) -> Any:
        url = "/api/v1" + path.format(**world)
        return client.generic(method.upper(), url, raw, content_type=content_type, **more)

    return request


def assert_problem(answer: Any, status: int, code: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert list(body) == ["type", "title", "status", "detail", "code", "errors", "request_id"]
    assert body["type"] == f"urn:agent-hub:problem:{code}"
    assert body["request_id"] == answer["X-Request-ID"]
    assert body["detail"].endswith(".")


@every_body
def test_what_is_not_json_is_400(
    send: Any, untouched: Callable[[], None], method: str, path: str
) -> None:
    untouched()

    for raw in (b"{", b"\xff\xfe", DEEP, b'{"a": NaN}', b'{"a": "\\ud800"}', b"{'a': 1}"):
        assert_problem(send(method, path, raw), 400, "request.malformed")


@every_body
def test_another_content_type_is_415(
    send: Any, untouched: Callable[[], None], method: str, path: str
) -> None:
    untouched()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        answer = send(method, path, b"a=1", kind)

        assert_problem(answer, 415, "request.unsupported_media_type")


@every_body
def test_a_document_that_is_no_object_is_422(
    send: Any, untouched: Callable[[], None], method: str, path: str
) -> None:
    untouched()

    for raw in (b"[]", b'"text"', b"null", b"1", b"true", b"[{}]"):
        answer = send(method, path, raw)

        assert_problem(answer, 422, "validation.invalid")
        assert [error["field"] for error in answer.json()["errors"]] == ["body"]


@every_body
def test_a_body_over_ten_megabytes_is_413(
    send: Any, untouched: Callable[[], None], method: str, path: str
) -> None:
    untouched()

    answer = send(method, path, b" " * (10 * 1024 * 1024 + 1))

    assert_problem(answer, 413, "request.too_large")


TASKS: Final[dict[str, list[Any]]] = {
    "title": ["", "  ", "x" * 501, NUL, None, [], {}, True],
    "description": ["x" * 200_001],
    "instructions": [NUL],
    "priority": ["urgent", ["high"]],
    "agent_id": ["1", -1, 2**200, 1.5, "00000000-0000-0000-0000-000000000000"],
    "deadline": [
        "2001-01-01T00:00:00Z",
        "tomorrow",
        1893456000,
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+14:00",
    ],
    "required_tools": [
        "calculator",
        ["no_such_tool"],
        [["calculator"]],
        ["calculator"] * 201,
        {"a": 1},
    ],
    "max_retries": [-1, 101, 2**70, 1e300, "many", 1.5, None],
    "estimated_duration_seconds": [-1, 2**31],
    "metadata": [[], {"a": NUL}, {NUL: 1}, {"a": ["x" * 64_000]}, nested(52), nested(400)],
}
AGENTS: Final[dict[str, list[Any]]] = {
    "name": ["x" * 256, NUL, None],
    "kind": ["remote-control"],
    "role": ["x" * 65],
    "email": ["nobody"],
    "tags": [["x" * 65], ["x"] * 51, "x"],
    "worker_id": ["worker"],
    "llm_provider": ["skynet", ["demo"]],
    "llm_model": ["x" * 129],
    "system_prompt": ["x" * 200_001, NUL],
    "temperature": [-0.1, 2.1, "nan", "-inf", {}],
    "max_tokens": [0, 2**40],
    "enabled_tools": [["no_such_tool"], [None]],
    "tool_blacklist": [["x" * 129]],
    "max_concurrent_tasks": [0, 1001],
    "max_tool_calls": [-1, 101],
    "timeout_seconds": [0, 601],
    "max_tokens_per_task": [-1],
    "daily_budget_usd": ["-0.01", "NaN", "1e30", "0.00001"],
    "memory_limit_mb": [0],
    "autonomy_level": ["reckless"],
    "risk_rules": [
        [],
        {"max_file_delete_mb": "inf"},
        {"max_file_delete_mb": -1},
        {"require_approval_for": "all"},
        {"block_external_api": "perhaps"},
    ],
}
CHANGES: Final = {"title", "description", "instructions", "priority", "agent_id", "deadline"}


def first_field(answer: Any) -> str:
    return str(answer.json()["errors"][0]["field"].split(".")[0])


@pytest.mark.parametrize("name", TASKS)
def test_a_task_with_a_bad_value_is_422(
    send: Any, untouched: Callable[[], None], name: str
) -> None:
    untouched()

    for value in TASKS[name]:
        answers = [send("post", "/tasks", json.dumps({"title": "x", name: value}))]
        if name in CHANGES:
            answers.append(send("patch", "/tasks/{task}", json.dumps({name: value})))

        for answer in answers:
            assert_problem(answer, 422, "validation.invalid")
            assert first_field(answer) == name


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_with_a_bad_value_is_422(
    send: Any, untouched: Callable[[], None], name: str
) -> None:
    untouched()

    for value in AGENTS[name]:
        for method, path, more in (
            ("post", "/agents", {"name": "x"}),
            ("patch", "/agents/{agent}", {}),
        ):
            answer = send(method, path, json.dumps({**more, name: value}))

            assert_problem(answer, 422, "validation.invalid")
            assert first_field(answer) == name


def test_several_bad_values_are_all_named(api: Api, admin: User) -> None:
    answer = api(admin).post("/api/v1/tasks/", {"priority": "x", "metadata": 1})

    assert [error["field"] for error in answer.json()["errors"]] == [
        "title",
        "priority",
        "metadata",
    ]


def test_metadata_as_deep_as_allowed_comes_back_in_the_list(api: Api, admin: User) -> None:
    client = api(admin)
    metadata = {"text": r"not a \u0000 character", "deep": nested(49)}

    client.post("/api/v1/tasks/", {"title": "x", "metadata": metadata})

    assert client.get("/api/v1/tasks/").json()["items"][0]["metadata"] == metadata


@pytest.mark.parametrize("path", ["/agents", "/executions", "/tasks", "/agents/{agent}/versions"])
def test_a_bad_page_is_422(send: Any, path: str) -> None:
    for query in (
        "limit=0",
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit=%00",
        "limit=٣",
        "skip=x",
        "offset=-1",
    ):
        answer = send("get", f"{path}?{query}", b"")

        assert_problem(answer, 422, "validation.invalid")
        assert first_field(answer) == query.split("=")[0]


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/agents", ["status_filter=asleep", "role=%00", "role=" + "x" * 65]),
        ("/executions", ["task_id=1", "agent_id=x", "status_filter=idle"]),
        ("/tasks", ["status_filter=running", "priority=urgent", "agent_id=%00"]),
    ],
)
def test_a_bad_filter_is_422(send: Any, path: str, queries: list[str]) -> None:
    for query in queries:
        answer = send("get", f"{path}?{query}", b"")

        assert_problem(answer, 422, "validation.invalid")
        assert first_field(answer) == query.split("=")[0]


def test_of_a_repeated_parameter_the_last_counts(send: Any) -> None:
    answer = send("get", "/tasks?limit=1&limit=2&status_filter=failed&status_filter=pending", b"")

    assert (answer.status_code, answer.json()["limit"], answer.json()["items"]) == (200, 2, [])


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ("trace-1234.ok_", True),
        ("s", True),
        ("", False),
        ("x" * 65, False),
        ("new\tline-id", False),
    ],
)
def test_a_request_id_is_kept_if_it_is_harmless(send: Any, *, offered: str, kept: bool) -> None:
    for path in ("/tasks", "/tasks/x", "/nowhere"):
        answer = send("get", path, b"", headers={"X-Request-ID": offered})

        assert (answer["X-Request-ID"] == offered) is kept
        assert answer.json().get("request_id", answer["X-Request-ID"]) == answer["X-Request-ID"]


def test_an_unknown_route_is_a_problem(send: Any) -> None:
    assert_problem(send("get", "/nowhere", b""), 404, "route.not_found")


def test_only_json_is_served(send: Any) -> None:
    answer = send("get", "/tasks", b"", headers={"Accept": "text/html"})

    assert_problem(answer, 406, "request.not_acceptable")
