"""What others say about arguments, made safe."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tools.clients import schemas
from tools.clients.schemas import MOST_BYTES, SchemaRefused

OBJECT: dict[str, Any] = {"type": "object"}


def test_local_references_are_put_in_and_circles_allow_anything() -> None:
    schema = {
        "properties": {"tree": {"$ref": "#/$defs/Node"}},
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
            }
        },
    }

    assert schemas.parameters(schema) == {
        "type": "object",
        "properties": {
            "tree": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "next": {}},
            }
        },
    }


def test_what_could_cost_much_is_left_out() -> None:
    schema = {
        "type": "object",
        "$id": "https://example.com/a",
        "properties": {"pattern": {"type": "string", "pattern": "(a+)+$", "minLength": 1}},
        "patternProperties": {"(a+)+$": {}},
    }

    assert schemas.parameters(schema) == {
        "type": "object",
        "properties": {"pattern": {"type": "string", "minLength": 1}},
    }


def test_words_of_openapi_3_0_are_translated() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "nullable": True},
            "b": {"type": "string", "enum": ["x"], "nullable": True},
            "c": {"type": "integer", "maximum": 2, "exclusiveMaximum": False},
        },
    }

    assert schemas.parameters(schema)["properties"] == {
        "a": {"type": ["integer", "null"], "exclusiveMinimum": 1},
        "b": {"type": ["string", "null"], "enum": ["x", None]},
        "c": {"type": "integer", "maximum": 2},
    }


def bomb(levels: int) -> dict[str, Any]:
    """Each definition holds the next one twice."""
    defs: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {**OBJECT, "$defs": {**defs, f"d{levels}": {}}, "allOf": [{"$ref": "#/$defs/d0"}]}


def nested(levels: int) -> dict[str, Any]:
    """One object in another."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"type": "object", "properties": {"a": found}}
    return found


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ([], "malformed"),
        ({"type": "array"}, "no object"),
        ({"properties": {"a": {"$ref": "https://example.com/x"}}}, "another document"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "another document"),
        ({"properties": {"a": {"$ref": 7}}}, "another document"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "not there"),
        ({"properties": {"a": {"type": "strnig"}}}, "wrong at"),
        ({"properties": {"a": {"minimum": "x"}}}, "wrong at"),
        ({"properties": {"a": {"enum": ["x" * MOST_BYTES]}}}, "longer"),
        ({"properties": {f"p{n}": {} for n in range(2_001)}}, "too large"),
        (bomb(20), "too large"),
        (nested(40), "too large or too deep"),
        ({"default": nested(40)}, "too large or too deep"),
    ],
)
def test_what_cannot_be_used_is_refused(schema: Any, reason: str) -> None:
    with pytest.raises(SchemaRefused, match=reason):
        schemas.parameters(schema)


def test_what_postgresql_refuses_is_taken_out() -> None:
    assert schemas.clean({"a\x00": ["\ud800b", float("nan"), 1.5, None, True]}) == {
        "a": ["b", "nan", 1.5, None, True]
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "$ref", "enum", "anyOf", "minimum", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_whatever_comes_is_refused_or_a_schema(schema: Any) -> None:
    try:
        tree = schemas.parameters(schema)
    except SchemaRefused:
        return
    Draft202012Validator.check_schema(tree)
    assert tree["type"] == "object"
    assert "$ref" not in tree
