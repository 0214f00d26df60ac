"""Checking values against JSON Schemas (2020-12), for a bounded time and without a look outside.

The library would fetch what a `$ref` names, files too, and its cost is the product of schema and
value: what would take long is refused unchecked.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

MOST_VALUES: Final = 50_000
MOST_DEPTH: Final = 100
# Of one node of the schema at one value; a visit takes 40 microseconds where nothing fits.
MOST_VISITS: Final = 10_000
MOST_SAID: Final = 300
TOO_LARGE: Final = "$: there is too much of it to check; send less"
UNUSABLE: Final = "$: the schema cannot be used"
NO_NUMBER: Final = "$: it holds a number that JSON does not have or that is too large"
# A message of the library holds what it is about: so much of it costs as much as a visit.
_VALUES_A_VISIT: Final = 100
_BYTES_A_VALUE: Final = 32
_BITS_A_VALUE: Final = 128
_MOST_BITS: Final = 1_023  # of an integer that is a float too
_COMPARED_A_VISIT: Final = 20
_HOLDS: Final = (dict, list, tuple, Mapping)  # the quickest to tell first
# Keywords whose messages do not hold the value.
_SILENT: Final = frozenset(
    {"title", "description", "default", "examples", "format"}
    | {"properties", "required", "const", "allOf"}
)


class TooLarge(Exception):
    """More than the hub looks at."""


class _NoNumber(Exception):
    """NaN, an infinity, or an integer beyond all floats."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises `jsonschema.SchemaError` if it is none; for schemas of the hub's own."""
    Draft202012Validator.check_schema(schema)


def fault_of(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with `value`, as `path: words` without a full stop; empty if it fits."""
    try:
        _Cost(schema, value).count()
        # Made anew each time: it takes ten microseconds, and kept ones fill the memory.
        found = best_match(_Validator(schema, registry=Registry()).iter_errors(value))
    except TooLarge:
        return TOO_LARGE
    except _NoNumber:
        return NO_NUMBER
    except (RecursionError, Unresolvable, ArithmeticError, ValueError):  # their texts: anything
        return UNUSABLE
    return f"{found.json_path[:MOST_SAID]}: {found.message[:MOST_SAID]}" if found else ""


def _brief(keyword: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    """`keyword` with short messages: `anyOf` keeps those of all its branches."""

    def check(*of_the_library: Any) -> Iterator[ValidationError]:
        for error in keyword(*of_the_library) or ():
            error.message = error.message[:MOST_SAID]
            yield error

    return check


# An empty registry, which each gets, has nothing and fetches nothing.
_Validator: Final = extend(  # type: ignore[no-untyped-call]  # not in the stubs
    Draft202012Validator,
    {name: _brief(keyword) for name, keyword in Draft202012Validator.VALIDATORS.items()},
)


def walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Each list and object in `value` with its depth, 0 being `value` itself; what one holds is
    looked at after it was given, so that who stops there has spent nothing on it."""
    waiting = [(value, 0)] if isinstance(value, _HOLDS) else []
    while waiting:
        each, depth = waiting.pop()
        yield each, depth
        inside = each.values() if isinstance(each, Mapping) else each
        waiting += [(item, depth + 1) for item in inside if isinstance(item, _HOLDS)]


def weigh(value: Any) -> dict[int, int]:
    """What each list and object in `value` holds, in plain values, by its `id`.

    Raises TooLarge.
    """
    found: list[Any] = []
    seen = 0
    for each, depth in walk(value):
        seen += 1 + len(each)
        if seen > MOST_VALUES or depth > MOST_DEPTH:
            raise TooLarge
        found.append(each)
    weights: dict[int, int] = {}
    for each in reversed(found):
        inside = each.values() if isinstance(each, Mapping) else each
        keys = sum(_weight(key, weights) for key in each) if isinstance(each, Mapping) else 0
        weights[id(each)] = 1 + keys + sum(_weight(item, weights) for item in inside)
    return weights


def _weight(value: Any, weights: Mapping[int, int]) -> int:
    if isinstance(value, str):
        return 1 + value.__sizeof__() // _BYTES_A_VALUE
    if isinstance(value, int):
        return 1 + value.bit_length() // _BITS_A_VALUE
    return weights.get(id(value), 1)


class _Cost:
    """The visits that checking one value takes, at most."""

    def __init__(self, schema: Any, value: Any) -> None:
        self._weights = weigh(value) | weigh(schema)
        self._visits = 0
        self._waiting: list[tuple[Any, Any]] = [(schema, value)]

    def count(self) -> None:
        """Raises TooLarge if they are too many, and `_NoNumber`."""
        while self._waiting:
            node, value = self._waiting.pop()
            if _is_no_number(value):
                raise _NoNumber
            weight = _weight(value, self._weights)
            said = len(node.keys() - _SILENT) if isinstance(node, Mapping) else 1
            self._spend(weight * max(said, 1) // _VALUES_A_VISIT)
            if isinstance(node, Mapping):
                self._look(node, value, weight)

    def _look(self, node: Mapping[str, Any], value: Any, weight: int) -> None:
        plain = [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]
        self._spend(sum(1 + _breadth(each) for each in plain) // _COMPARED_A_VISIT)
        # The library's messages show these parts of the schema whole.
        shown = [*plain, *node.get("required", ()), *node.get("oneOf", ()), node.get("not")]
        self._spend(sum(_weight(each, self._weights) for each in shown) // _VALUES_A_VISIT)
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


def _is_no_number(value: Any) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    return isinstance(value, int) and value.bit_length() > _MOST_BITS


def _breadth(value: Any) -> int:
    return len(json.dumps(value)) // 8 if isinstance(value, Mapping | list) else 0


def _is_sortable(value: Sequence[Any]) -> bool:
    """Whether the library finds what is twice in it without comparing all with all."""
    return all(isinstance(each, str) for each in value) or all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )
