"""Checking values: for a bounded time, and without a look outside."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema.exceptions import best_match

from kernel import json_validation
from kernel.json_validation import NO_NUMBER, TOO_LARGE, UNUSABLE, TooLarge, fault_of, weigh

ROWS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
        "additionalProperties": False,
    },
}
BRANCHES = [{"const": -number} for number in range(1_899)]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "object"}')

        def log_message(self, *_: Any) -> None:
            """Not into the tests' output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x", paths
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
def test_nothing_is_fetched(key: str, asked: tuple[str, list[str]]) -> None:
    url, paths = asked

    assert fault_of({key: url}, {}) == UNUSABLE
    assert paths == []


def test_no_file_is_read(tmp_path: Path) -> None:
    found = tmp_path / "secret.json"
    found.write_text('{"const": "hunter2"}')

    assert fault_of({"$ref": found.as_uri()}, "x") == UNUSABLE


def test_a_fault_is_named_with_its_place() -> None:
    assert fault_of(ROWS, [{"name": "Ada", "age": 36}]) == ""
    assert fault_of(ROWS, [{"name": 7}]) == "$[0].name: 7 is not of type 'string'"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"anyOf": BRANCHES}}, [7] * 400),
        ({"type": "array", "uniqueItems": True}, [{"n": n} for n in range(3_000)]),
        ({"anyOf": BRANCHES}, ["x" * 100_000] * 10),
        ({"type": "array", "items": {"required": [str(n) for n in range(500)]}}, [{}] * 50),
        ({"type": "array", "items": {"enum": [[n] * 50 for n in range(300)]}}, [[1]] * 100),
        ({"not": {"prefixItems": [{"anyOf": BRANCHES}] * 9}}, [7] * 9),
        ({"additionalProperties": {"oneOf": BRANCHES}}, {str(n): n for n in range(50)}),
        ({}, [[]] * 60_000),
        ({"items": {"enum": ["x" * 50_000]}}, [1] * 9_000),
        ({"items": {"required": ["x" * 50_000]}}, [{}] * 4_500),
        ({"items": {"not": {"title": "x" * 50_000}}}, [1] * 4_500),
        ({"anyOf": [{"type": "string"}] * 1_900}, {"x" * 500_000: 1}),
        ({"anyOf": [{"type": "string"}] * 1_900}, [10**300] * 5_000),
    ],
    ids=[
        *("any of", "unique", "repeated", "required", "enum", "prefix", "additional", "large"),
        *("long choice", "long name", "long refusal", "long key", "long numbers"),
    ],
)
def test_what_would_take_long_is_not_checked(
    schema: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_validation, "_Validator", None)

    assert fault_of(schema, value) == TOO_LARGE


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (ROWS, [{"name": str(n), "age": n} for n in range(1_000)]),
        ({"type": "array", "uniqueItems": True}, [str(n) for n in range(5_000)]),
        ({"enum": [str(n) for n in range(1_000)]}, "999"),
        ({"type": "object", "properties": {str(n): {} for n in range(1_900)}}, {"0": "x" * 10**6}),
    ],
    ids=["rows", "unique", "enum", "object"],
)
def test_what_people_send_is_checked(schema: dict[str, Any], value: Any) -> None:
    assert fault_of(schema, value) == ""


def test_what_is_said_is_short_in_each_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def look(errors: Any) -> Any:
        found = best_match(errors)
        kept.extend(found.context)
        return found

    monkeypatch.setattr(json_validation, "best_match", look)
    schema = {"anyOf": [{"type": "string"}, {"enum": ["x" * 3_000]}]}

    assert len(fault_of(schema, {"x" * 3_000: 1})) < 400
    assert [len(error.message) for error in kept] == [json_validation.MOST_SAID] * 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
@pytest.mark.parametrize("schema", [{"minimum": 5}, {"multipleOf": 0.5}, {"enum": [1]}])
def test_what_is_no_number_of_json_fits_nothing(schema: dict[str, Any], number: Any) -> None:
    assert fault_of(schema, number) == NO_NUMBER
    assert fault_of({"items": schema}, [number]) == NO_NUMBER


def test_a_schema_that_the_library_stumbles_over_is_unusable() -> None:
    assert fault_of({"multipleOf": 0}, 1) == UNUSABLE


def test_an_abyss_is_not_looked_into() -> None:
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]

    with pytest.raises(TooLarge):
        weigh(value)
