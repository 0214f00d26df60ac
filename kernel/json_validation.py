"""Checking values against JSON Schemas (2020-12), for a bounded time and without a look outside.

The library would fetch what a `$ref` names, files too, and its cost is the product of schema and
value: what would take long is refused unchecked.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

REMEMBERED: Final = 1_024
MOST_VALUES: Final = 50_000
MOST_DEPTH: Final = 100
# Of one node of the schema at one value; a visit takes 40 microseconds where nothing fits.
MOST_VISITS: Final = 10_000
MOST_SAID: Final = 300
TOO_LARGE: Final = "$: there is too much of it to check; send less"
UNUSABLE: Final = "$: the schema cannot be used"
# A message of the library holds what it is about: so much of it costs as much as a visit.
_VALUES_A_VISIT: Final = 100
_CHARACTERS_A_VALUE: Final = 32
_COMPARED_A_VISIT: Final = 20


class TooLarge(Exception):
    """More than the hub looks at."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises `jsonschema.SchemaError` if it is none; for schemas of the hub's own."""
    Draft202012Validator.check_schema(schema)


def fault_of(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with `value`, as `path: words` without a full stop; empty if it fits."""
    try:
        _Cost(value).count(schema)
        found = best_match(_validator(json.dumps(schema)).iter_errors(value))
    except TooLarge:
        return TOO_LARGE
    except (RecursionError, Unresolvable):  # whose texts may be anything
        return UNUSABLE
    return f"{found.json_path}: {found.message[:MOST_SAID]}" if found else ""


@lru_cache(maxsize=REMEMBERED)
def _validator(schema: str) -> Draft202012Validator:
    # An empty registry has nothing and fetches nothing.
    return Draft202012Validator(json.loads(schema), registry=Registry())


def weigh(value: Any, *, most: int = MOST_VALUES) -> dict[int, int]:
    """How many values each list and object in `value` holds, by its `id`; raises TooLarge."""
    found: list[Any] = []
    waiting, seen = [(value, 0)], 0
    while waiting:
        each, depth = waiting.pop()
        if not isinstance(each, Mapping | list | tuple):
            continue
        seen += 1 + len(each)
        if seen > most or depth > MOST_DEPTH:
            raise TooLarge
        found.append(each)
        inside = each.values() if isinstance(each, Mapping) else each
        waiting += [(item, depth + 1) for item in inside]
    weights: dict[int, int] = {}
    for each in reversed(found):
        inside = each.values() if isinstance(each, Mapping) else each
        weights[id(each)] = 1 + sum(_weight(item, weights) for item in inside)
    return weights


def _weight(value: Any, weights: Mapping[int, int]) -> int:
    if isinstance(value, str):
        return 1 + len(value) // _CHARACTERS_A_VALUE
    return weights.get(id(value), 1)


class _Cost:
    """The visits that checking one value takes, at most."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._weights = weigh(value)
        self._visits = 0
        self._waiting: list[tuple[Any, Any]] = []

    def count(self, schema: Any) -> None:
        """Raises TooLarge if they are too many."""
        self._waiting = [(schema, self._value)]
        while self._waiting:
            node, value = self._waiting.pop()
            weight = _weight(value, self._weights)
            self._spend(weight // _VALUES_A_VISIT)
            if isinstance(node, Mapping):
                self._look(node, value, weight)

    def _look(self, node: Mapping[str, Any], value: Any, weight: int) -> None:
        plain = [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]
        self._spend(sum(1 + _breadth(each) for each in plain) // _COMPARED_A_VISIT)
        for key in ("anyOf", "oneOf", "allOf"):
            self._visit([(branch, value) for branch in node.get(key, ())])
        if "not" in node:
            self._visit([(node["not"], value)])
        if isinstance(value, Mapping):
            self._look_at_object(node, value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            self._look_at_list(node, value, weight)

    def _look_at_object(self, node: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        properties = node.get("properties", {})
        self._spend((len(properties) + len(value)) // 32 + len(node.get("required", ())))
        self._visit([(properties[key], value[key]) for key in value if key in properties])
        more = node.get("additionalProperties")
        if isinstance(more, Mapping):
            self._visit([(more, value[key]) for key in value if key not in properties])

    def _look_at_list(self, node: Mapping[str, Any], value: Sequence[Any], weight: int) -> None:
        first = node.get("prefixItems", ())
        self._visit(list(zip(first, value, strict=False)))
        if "items" in node:
            self._visit([(node["items"], each) for each in value[len(first) :]])
        if node.get("uniqueItems") is True and not _is_sortable(value):
            self._spend(len(value) * weight // _COMPARED_A_VISIT)

    def _visit(self, pairs: list[tuple[Any, Any]]) -> None:
        self._spend(len(pairs))
        self._waiting += pairs

    def _spend(self, visits: int) -> None:
        self._visits += visits
        if self._visits > MOST_VISITS:
            raise TooLarge


def _breadth(value: Any) -> int:
    return len(json.dumps(value)) // 8 if isinstance(value, Mapping | list) else 0


def _is_sortable(value: Sequence[Any]) -> bool:
    """Whether the library finds what is twice in it without comparing all with all."""
    return all(isinstance(each, str) for each in value) or all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )
