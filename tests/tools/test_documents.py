"""OpenAPI documents: what is none is refused, and whatever one holds is read or refused."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.outbound import OutboundPolicy
from tests.tools.test_openapi import DOCUMENT, YAML
from tools.clients import openapi
from tools.clients.endpoints import Endpoint
from tools.errors import SourceFailed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"openapi": "2.0"}',
        "a: &a [x]\nb: *a",
        "[" * 5_000,
        "!!python/object/apply:os.system ['true']",
        "\x00",
    ],
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(SourceFailed):
        openapi.parse(text)


WORDS = [
    "paths",
    "/a",
    "/a/{b}",
    "get",
    "parameters",
    "in",
    "name",
    "schema",
    "$ref",
    "requestBody",
]
WORDS += ["content", "application/json", "servers", "url", "operationId", "required", "components"]
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from([*WORDS, "#/paths", "path"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(WORDS), inner, min_size=1, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(SHAPES, SHAPES)
def test_whatever_a_document_holds_is_read_or_refused(paths: Any, servers: Any) -> None:
    document = {"openapi": "3.1.0", "paths": {"/a": {"get": paths}, "/{b}": paths}}
    source = Endpoint(source_id=uuid4(), name="a", kind="openapi", key="", policy=OutboundPolicy())
    endpoint = replace(source, url="https://a.example.com/openapi.json")
    try:
        listing = openapi.read({**document, "servers": servers}, endpoint)
    except SourceFailed:
        return
    assert all(tool.binding["url"].startswith("http") for tool in listing.tools)


def test_json_and_yaml_are_the_same() -> None:
    assert openapi.parse(YAML)["paths"] == {"/pets": {"get": {"description": "All pets."}}}
    assert openapi.parse(json.dumps(DOCUMENT)) == DOCUMENT
