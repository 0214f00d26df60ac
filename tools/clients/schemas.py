"""What others say about their tools, made safe to keep, to validate with and to show to models.

A schema comes out as a tree without references: local ones are put in, remote ones refused. It is
bounded in bytes, nodes and depth, and has only keywords whose cost is bounded by it: a pattern from
outside could hold up the event loop for all runs.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

MOST_BYTES: Final = 64_000
MOST_NODES: Final = 2_000
MOST_DEPTH: Final = 24
# Keywords with plain values.
_PLAIN: Final = (
    *("type", "required", "enum", "const", "format", "title", "description", "default"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
    *("minProperties", "maxProperties", "examples"),
)
_ONE: Final = ("items", "additionalProperties", "not")
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_UNSAFE: Final = re.compile("[\x00\ud800-\udfff]")


class SchemaRefused(Exception):
    """The schema cannot be used; the words say why."""


def parameters(schema: Any, *, document: Any = None) -> dict[str, Any]:
    """`schema` of a tool's arguments as a plain tree; raises SchemaRefused.

    References are looked up in `document`, the schema itself unless given.
    """
    tree = flatten(schema, document=schema if document is None else document)
    if not isinstance(tree, dict):
        tree = {}
    if tree.setdefault("type", "object") != "object":
        raise SchemaRefused("its arguments are no object")
    tree.setdefault("properties", {})
    return checked(tree)


def checked(tree: dict[str, Any]) -> dict[str, Any]:
    """`tree` if it is a JSON Schema (2020-12) of bounded size; raises SchemaRefused."""
    if len(json.dumps(tree)) > MOST_BYTES:
        raise SchemaRefused(f"its schema is longer than {MOST_BYTES} bytes")
    try:
        Draft202012Validator.check_schema(tree)
    except SchemaError as error:
        raise SchemaRefused(f"its schema is wrong at {error.json_path[:100]}") from None
    return tree


def flatten(schema: Any, *, document: Any) -> Any:
    """`schema` with its local references put in; a reference to what holds it allows anything."""
    return _Flattening(document).tree(schema, depth=0, above=())


class _Flattening:
    """One schema; the count of its nodes is over all that is put in."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._nodes = 0

    def tree(self, schema: Any, *, depth: int, above: tuple[str, ...]) -> Any:
        """The node, or True and False as they are."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise SchemaRefused("its schema is malformed")
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > MOST_DEPTH:
            raise SchemaRefused("its schema is too large or too deep")
        reference = schema.get("$ref")
        if reference is None:
            return self._node(schema, depth, above)
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaRefused("its schema refers to another document")
        if reference in above:
            return {}
        found = resolve(reference, self._document)
        return self.tree(found, depth=depth + 1, above=(*above, reference))

    def _node(self, schema: Mapping[str, Any], depth: int, above: tuple[str, ...]) -> Any:
        deeper = depth + 1
        node = {key: clean(schema[key]) for key in _PLAIN if key in schema}
        if isinstance(properties := schema.get("properties"), Mapping):
            node["properties"] = {
                clean(str(name)): self.tree(value, depth=deeper, above=above)
                for name, value in properties.items()
            }
        for key in _ONE:
            if key in schema:
                node[key] = self.tree(schema[key], depth=deeper, above=above)
        for key in _MANY:
            if isinstance(branches := schema.get(key), list) and branches:
                node[key] = [self.tree(each, depth=deeper, above=above) for each in branches]
        return _as_2020(node, is_nullable=schema.get("nullable") is True)


def resolve(reference: str, document: Any) -> Any:
    """What a local JSON pointer (`#/components/schemas/Pet`) names; raises SchemaRefused."""
    found = document
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise SchemaRefused("its schema refers to what is not there")
    return found


def clean(value: Any, *, depth: int = 0) -> Any:
    """`value` without what PostgreSQL refuses: NUL, lone surrogates, numbers that are none."""
    if depth > MOST_DEPTH:
        raise SchemaRefused("its schema is too large or too deep")
    if isinstance(value, str):
        return _UNSAFE.sub("", value)
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item, depth=depth + 1) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):  # noqa: PLR0124 - NaN is not itself
        return value
    return str(value)


def _as_2020(node: dict[str, Any], *, is_nullable: bool) -> dict[str, Any]:
    """OpenAPI 3.0's own words in those of JSON Schema."""
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(node.get(key), bool) and node.pop(key) and bound in node:
            node[key] = node.pop(bound)
    if is_nullable and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
    return node
