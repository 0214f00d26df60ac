"""JSON Schemas from outside (2020-12), made safe to keep, to validate with and to show to models.

A schema comes out as a tree without references: local ones are put in, remote ones refused. It is
bounded in bytes, nodes and depth, and has only keywords whose cost is bounded by it: a pattern from
outside could hold up the event loop for all runs.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NamedTuple, TypeAlias

MOST_BYTES: Final = 64_000
MOST_NODES: Final = 2_000
MOST_DEPTH: Final = 24
# Over all schemas of one document or list: nodes, and a hundred bytes of plain values each.
MOST_WORK: Final = 40_000
# Keywords with plain values.
_PLAIN: Final = (
    *("type", "required", "enum", "const", "format", "title", "description", "default"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
    *("minProperties", "maxProperties", "examples"),
)
_LIMITS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_ONE: Final = ("items", "additionalProperties", "not")
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples"})
_ASSERTING: Final = frozenset({*_PLAIN, *_ONE, *_MANY, "properties"}) - _ANNOTATIONS
# What would be asked of an answer and not be looked at.
_UNREAD: Final = (
    *("pattern", "patternProperties", "propertyNames", "if", "then", "else", "contains"),
    *("dependentSchemas", "dependentRequired", "dependencies", "additionalItems"),
    *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
)
_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_UNSAFE: Final = re.compile("[\x00\ud800-\udfff]")


class SchemaRefused(Exception):
    """The schema cannot be used; the words say why."""


class SchemaTooDeep(SchemaRefused):
    """One that might do where less is around it."""


@dataclass(slots=True)
class Budget:
    """What reading all schemas of one source may cost; those that come later are refused."""

    left: int = MOST_WORK

    def spend(self, units: int) -> None:
        """Raises SchemaRefused when there is nothing left."""
        self.left -= units
        if self.left < 0:
            raise SchemaRefused("the schemas before it are too large in all")


class Piece(NamedTuple):
    """A schema as a tree, its size, and the references that were cut in it as circles."""

    tree: Any
    nodes: int = 1
    size: int = 2
    height: int = 0
    cuts: frozenset[str] = frozenset()


@dataclass(slots=True)
class Total:
    """A node with all that is below it so far."""

    nodes: int = 1
    size: int = 2
    height: int = 0
    cuts: set[str] = field(default_factory=set)

    def add(self, piece: Piece) -> Any:
        """Its tree; raises SchemaRefused when all of it is too much."""
        self.nodes += piece.nodes
        self.height = max(self.height, piece.height + 1)
        self.cuts |= piece.cuts
        self.grow(piece.size)
        return piece.tree

    def grow(self, size: int) -> None:
        """Count plain values; raises SchemaRefused as `add`."""
        self.size += size
        if self.nodes > MOST_NODES or self.size > MOST_BYTES:
            raise SchemaRefused("its schema is too large")

    def piece(self, tree: Any) -> Piece:
        """The node, as `tree`."""
        return Piece(tree, self.nodes, self.size, self.height, frozenset(self.cuts))


class SchemaReader:
    """The schemas of one document, each reference put in from what was read of it before.

    An exact one refuses what a lenient one leaves out: keywords that the hub does not check, and
    circles, in place of which anything would be allowed.
    """

    def __init__(
        self, document: Any, budget: Budget | None = None, *, is_exact: bool = False
    ) -> None:
        self._document = document
        self._budget = Budget() if budget is None else budget
        self._is_exact = is_exact
        self._known: dict[str, Piece | SchemaRefused] = {}

    def read(self, schema: Any, *, depth: int = 0, above: tuple[str, ...] = ()) -> Piece:
        """The node with all below it; True and False as they are. Raises SchemaRefused."""
        if isinstance(schema, bool):
            return Piece(schema)
        if not isinstance(schema, Mapping):
            raise SchemaRefused("its schema is malformed")
        self._budget.spend(1)
        if depth > MOST_DEPTH:
            raise SchemaTooDeep("its schema is too deep")
        if schema.get("$ref") is None:
            return self._node(schema, depth, above)
        if self._is_exact and (others := {key: schema[key] for key in _ASSERTING & schema.keys()}):
            both = [{"$ref": schema["$ref"]}, others]
            return self._node({"allOf": both}, depth, above)
        return self._referred(schema["$ref"], depth, above)

    def _referred(self, reference: Any, depth: int, above: tuple[str, ...]) -> Piece:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaRefused("its schema refers to another document")
        if reference in above:
            if self._is_exact:
                raise SchemaRefused(f"its schema holds itself at {reference[:100]}")
            return Piece({}, cuts=frozenset({reference}))
        found = self._known.get(reference) or self._put_in(reference, depth, above)
        if isinstance(found, SchemaRefused):
            raise SchemaRefused(str(found))
        if depth + 1 + found.height > MOST_DEPTH:
            raise SchemaTooDeep("its schema is too deep")
        return found._replace(height=found.height + 1)

    def _put_in(self, reference: str, depth: int, above: tuple[str, ...]) -> Piece:
        try:
            found = self.read(
                resolve(reference, self._document), depth=depth + 1, above=(*above, reference)
            )
        except SchemaTooDeep:
            raise
        except SchemaRefused as reason:
            self._known[reference] = reason.with_traceback(None)
            raise
        found = found._replace(cuts=found.cuts - {reference})
        if not found.cuts:  # else it is as it is for what is above it
            self._known[reference] = found
        return found

    def _node(self, schema: Mapping[str, Any], depth: int, above: tuple[str, ...]) -> Piece:
        if self._is_exact:
            _check_words(schema)
        total = Total()
        node = {
            key: self._plain(schema[key], total)
            for key in _PLAIN
            if key in schema and not self._is_out_of_reach(key, schema[key])
        }
        inside: dict[str, Any] = {"depth": depth + 1, "above": above}
        if isinstance(properties := schema.get("properties"), Mapping):
            node["properties"] = {
                self._plain(str(name), total): total.add(self.read(value, **inside))
                for name, value in properties.items()
            }
        for key in _ONE:
            if key in schema:
                node[key] = total.add(self.read(schema[key], **inside))
        for key in _MANY:
            if isinstance(branches := schema.get(key), list) and branches:
                node[key] = [total.add(self.read(each, **inside)) for each in branches]
        if not self._is_exact:
            node = _as_2020(node, is_nullable=schema.get("nullable") is True)
        return total.piece(well_formed(node))

    def _is_out_of_reach(self, key: str, value: Any) -> bool:
        return not self._is_exact and key in _LIMITS and _is_beyond(value)

    def _plain(self, value: Any, total: Total) -> Any:
        size = _size_of(value)
        total.grow(size)
        self._budget.spend(size // 100)
        cleaned = clean(value)
        if self._is_exact and cleaned != value:
            raise SchemaRefused("its schema holds characters or numbers that cannot be kept")
        return cleaned


def parameters(schema: Any, budget: Budget | None = None) -> dict[str, Any]:
    """`schema` of a tool's arguments as a plain tree; raises SchemaRefused."""
    tree = SchemaReader(schema, budget).read(schema).tree
    if not isinstance(tree, dict):
        tree = {}
    if tree.setdefault("type", "object") != "object":
        raise SchemaRefused("its arguments are no object")
    tree.setdefault("properties", {})
    return bounded(tree)


def answer(schema: Any) -> dict[str, Any]:
    """`schema` of an answer as a plain tree that asks for the same; raises SchemaRefused."""
    tree = SchemaReader(schema, is_exact=True).read(schema).tree
    return bounded(tree if isinstance(tree, dict) else {})


def bounded(tree: dict[str, Any]) -> dict[str, Any]:
    """`tree` if it may be kept; raises SchemaRefused."""
    if len(json.dumps(tree)) > MOST_BYTES:
        raise SchemaRefused(f"its schema is longer than {MOST_BYTES} bytes")
    return tree


def resolve(reference: str, document: Any) -> Any:
    """What a local JSON pointer (`#/components/schemas/Pet`) names; raises SchemaRefused."""
    found = document
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif _is_place(name, found):
            found = found[int(name)]
        else:
            raise SchemaRefused("its schema refers to what is not there")
    return found


def _is_place(name: str, found: Any) -> bool:
    if not isinstance(found, list):
        return False
    return name.isdecimal() and len(name) < 10 and int(name) < len(found)


def clean(value: Any, *, depth: int = 0) -> Any:
    """`value` without what PostgreSQL refuses: NUL, lone surrogates, numbers that are none."""
    if depth > MOST_DEPTH:
        raise SchemaRefused("its schema is too deep")
    if isinstance(value, str):
        return _UNSAFE.sub("", value)
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item, depth=depth + 1) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        if _is_beyond(value):
            raise SchemaRefused("its schema holds a number beyond 64 bits")
        return value
    return str(value)


def is_clean(value: Any) -> bool:
    """Whether `clean` would leave the texts in `value` as they are, and no number is none."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and _UNSAFE.search(each):
            return False
        if isinstance(each, float) and not isfinite(each):
            return False
        if isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return True


def _is_beyond(value: Any) -> bool:
    """Whether it is a number that those who read JSON do not agree on."""
    return _is_number(value) and not -(2**63) <= value < 2**63


def _size_of(value: Any) -> int:
    """Roughly the bytes of `value` as JSON; more than a schema may have is not counted."""
    size, waiting = 0, [value]
    while waiting and size <= MOST_BYTES:
        each = waiting.pop()
        size += 2
        if isinstance(each, str):
            size += len(each)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return size


def _check_words(schema: Mapping[str, Any]) -> None:
    if unread := [key for key in _UNREAD if key in schema]:
        raise SchemaRefused(f"the hub does not check `{unread[0]}`, so leave it out")
    if "properties" in schema and not isinstance(schema["properties"], Mapping):
        raise SchemaRefused("its schema is wrong at `properties`")
    for key in _MANY:
        if key in schema and not (isinstance(schema[key], list) and schema[key]):
            raise SchemaRefused(f"its schema is wrong at `{key}`")


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


_Rule: TypeAlias = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and _are_names(names) and _TYPES.issuperset(names)


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(each, str) for each in value)
        and len(set(value)) == len(value)
    )


# The metaschema's rules for plain values; the library's own check takes a millisecond for a node.
_RULES: Final[Mapping[str, _Rule]] = {
    "type": _is_type,
    "required": _are_names,
    **dict.fromkeys(("enum", "examples"), lambda value: isinstance(value, list)),
    **dict.fromkeys(("format", "title", "description"), lambda value: isinstance(value, str)),
    **dict.fromkeys(_LIMITS, _is_number),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "uniqueItems": lambda value: isinstance(value, bool),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        _is_count,
    ),
}


def well_formed(node: dict[str, Any]) -> dict[str, Any]:
    """`node` if its plain values are what JSON Schema asks for; raises SchemaRefused."""
    for key, rule in _RULES.items():
        if key in node and not rule(node[key]):
            raise SchemaRefused(f"its schema is wrong at `{key}`")
    return node
