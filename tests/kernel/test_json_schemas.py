"""Schemas from outside, made safe."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kernel import json_schemas
from kernel.json_schemas import MOST_BYTES, MOST_WORK, Budget, SchemaReader, SchemaRefused

META = Draft202012Validator.META_SCHEMA
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

    assert json_schemas.parameters(schema) == {
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

    assert json_schemas.parameters(schema) == {
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
            "d": {"type": "integer", "minimum": 0, "maximum": 18446744073709551615},
        },
    }

    assert json_schemas.parameters(schema)["properties"] == {
        "a": {"type": ["integer", "null"], "exclusiveMinimum": 1},
        "b": {"type": ["string", "null"], "enum": ["x", None]},
        "c": {"type": "integer", "maximum": 2},
        "d": {"type": "integer", "minimum": 0},
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
        ({"properties": {"a": {"multipleOf": 0}}}, "wrong at `multipleOf`"),
        ({"properties": {"a": {"enum": [10**400]}}}, "beyond 64 bits"),
        ({"properties": {"a": {"const": 1e300}}}, "beyond 64 bits"),
        ({"required": ["a", "a"]}, "wrong at `required`"),
        ({"type": "object", "properties": {"a": {"description": "ä" * 30_000}}}, "longer"),
        ({"$defs": {"a": []}, "anyOf": [{"$ref": f"#/$defs/a/{'9' * 5_000}"}]}, "not there"),
        ({"properties": {"a": {"enum": ["x" * MOST_BYTES]}}}, "too large"),
        ({"properties": {f"p{n}": {} for n in range(2_001)}}, "too large"),
        (bomb(10), "too large"),
        (bomb(20), "too deep"),
        (nested(40), "too deep"),
        ({"default": nested(40)}, "too deep"),
    ],
)
def test_what_cannot_be_used_is_refused(schema: Any, reason: str) -> None:
    with pytest.raises(SchemaRefused, match=reason):
        json_schemas.parameters(schema)


def test_what_postgresql_refuses_is_taken_out() -> None:
    assert json_schemas.clean({"a\x00": ["\ud800b", float("nan"), 1.5, None, True]}) == {
        "a": ["b", "nan", 1.5, None, True]
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "$ref", "enum", "anyOf", "minimum", "required"]
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
        tree = json_schemas.parameters(schema)
    except SchemaRefused:
        return
    Draft202012Validator.check_schema(tree)
    assert tree["type"] == "object"
    assert "$ref" not in tree


@pytest.mark.parametrize("key", json_schemas._RULES)
def test_what_passes_is_what_json_schema_takes(key: str) -> None:
    values: list[Any] = [
        0,
        1,
        -1,
        1.0,
        0.5,
        None,
        "",
        "string",
        [],
        {},
        ["string"],
        ["a", "a"],
        [1],
    ]
    for value in values:
        schema = {"type": "object", "properties": {"a": {key: value}}}

        assert is_taken(schema) == Draft202012Validator(META).is_valid(schema), value


def is_taken(schema: dict[str, Any]) -> bool:
    try:
        json_schemas.parameters(schema)
    except SchemaRefused:
        return False
    return True


def test_an_answers_schema_asks_for_the_same() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"City": {"type": "object", "required": ["name"]}},
        "type": "object",
        "properties": {
            "from": {"$ref": "#/$defs/City", "description": "Where it begins."},
            "to": {"$ref": "#/$defs/City", "minProperties": 2},
        },
    }

    assert json_schemas.answer(schema) == {
        "type": "object",
        "properties": {
            "from": {"type": "object", "required": ["name"]},
            "to": {"allOf": [{"type": "object", "required": ["name"]}, {"minProperties": 2}]},
        },
    }


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "http://127.0.0.1:1/x"}, "another document"),
        ({"$ref": "file:///etc/passwd"}, "another document"),
        ({"$dynamicRef": "http://127.0.0.1:1/x"}, "does not check `\\$dynamicRef`"),
        ({"type": "string", "pattern": "^(a+)+$"}, "does not check `pattern`"),
        ({"properties": {"a": {"$ref": "#"}}}, "holds itself at #"),
        ({"not": nested(300)}, "too deep"),
        ({"const": "a\x00"}, "cannot be kept"),
        ({"const": float("nan")}, "cannot be kept"),
        ({"properties": {"a\x00": {}}}, "cannot be kept"),
        ({"properties": []}, "wrong at `properties`"),
        ({"minimum": 1, "exclusiveMinimum": True}, "wrong at `exclusiveMinimum`"),
        ({"maximum": 2**64}, "beyond 64 bits"),
        ({"anyOf": []}, "wrong at `anyOf`"),
    ],
)
def test_an_answers_schema_is_refused_rather_than_loosened(schema: Any, reason: str) -> None:
    with pytest.raises(SchemaRefused, match=reason):
        json_schemas.answer(schema)


def test_what_is_referred_to_often_is_read_once() -> None:
    document: dict[str, Any] = {"Pet": {"properties": {f"p{n}": {} for n in range(900)}}}
    budget = Budget()
    reader = SchemaReader(document, budget)

    for _ in range(10_000):
        assert reader.read({"$ref": "#/Pet"}).nodes == 901

    assert budget.left == MOST_WORK - 10_000 - 901


def test_a_reference_that_is_refused_is_not_read_again() -> None:
    document: dict[str, Any] = {"Pet": {"properties": {f"p{n}": {} for n in range(2_001)}}}
    budget = Budget()
    reader = SchemaReader(document, budget)

    for _ in range(100):
        with pytest.raises(SchemaRefused, match="too large"):
            reader.read({"$ref": "#/Pet"})

    assert budget.left > MOST_WORK - 3_000


def test_schemas_that_come_late_in_too_long_a_list_are_refused() -> None:
    budget = Budget()
    large = {"type": "object", "properties": {f"p{n}": {} for n in range(1_900)}}

    for _ in range(MOST_WORK // 1_901):
        json_schemas.parameters(large, budget)

    with pytest.raises(SchemaRefused, match="before it are too large in all"):
        json_schemas.parameters(large, budget)


def test_circles_over_two_references_end() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/b"}},
        "$defs": {
            "a": {"properties": {"b": {"$ref": "#/$defs/b"}}},
            "b": {"properties": {"a": {"$ref": "#/$defs/a"}}},
        },
    }

    cut: dict[str, Any] = {"properties": {"b": {"properties": {"a": {}}}}}
    assert json_schemas.parameters(schema)["properties"] == {
        "a": cut,
        "b": {"properties": {"a": cut}},
    }
