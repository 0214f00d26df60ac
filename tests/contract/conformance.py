"""Is an answer what the OpenAPI document says: its status, its code, its body, its headers?"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import jsonschema
import orjson
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator

# Said of every route in docs/api.md, and by none: how HTTP itself is refused, and bugs.
ANYWHERE: Final = frozenset({405, 406, 408, 500})
CODE: Final = re.compile(r"`([a-z0-9_.]+)`")
FORMATS: Final = jsonschema.FormatChecker(formats=("email", "uuid"))
REFERENCE: Final = "#/components/"


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """RFC 3339 with an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@cache
def document() -> dict[str, Any]:
    """As it would be generated now."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def complaints(method: str, path: str, answer: Any) -> list[str]:
    """What the document does not say of an answer; nothing for routes that it does not have."""
    route, operation = find(method, path.partition("?")[0])
    status = answer.status_code
    if operation is None or status in ANYWHERE or getattr(answer, "streaming", False):
        return []
    described = operation["responses"].get(str(status))
    if described is None:
        return [f"{method} {route}: {status} is not documented. {answer.content[:300]!r}"]
    found = [*_code(described, answer), *_body(described, answer), *_headers(described, answer)]
    return [f"{method} {route} {status}: {complaint}" for complaint in found]


def find(method: str, path: str) -> tuple[str, dict[str, Any] | None]:
    """The operation that answers a path, under its template."""
    bare = path.rstrip("/")
    for pattern, route, item in _routes():
        if pattern.fullmatch(bare):
            return route, item.get(method.lower())
    return path, None


def codes(response: Mapping[str, Any]) -> set[str]:
    """The problem codes that a documented answer names."""
    return set(CODE.findall(response["description"]))


@cache
def _routes() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    """Those without parameters first: `/tasks/stats` is no `/tasks/{id}`."""
    paths = document()["paths"]
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path.rstrip("/")))), path, item)
        for path, item in sorted(paths.items(), key=lambda one: one[0].count("{"))
    ]


def _code(described: Mapping[str, Any], answer: HttpResponse) -> Iterator[str]:
    if answer.headers.get("Content-Type") == "application/problem+json":
        code = orjson.loads(answer.content)["code"]
        if code not in codes(described):
            yield f"the code {code} is not documented."


def _headers(described: Mapping[str, Any], answer: HttpResponse) -> Iterator[str]:
    if answer.status_code in {401, 423, 429}:
        missing = set(described.get("headers", {})) - set(answer.headers)
        # Nobody is told how they stand while nobody is counted.
        if missing := {name for name in missing if not name.startswith("X-RateLimit")}:
            yield f"without {sorted(missing)}."


def _body(described: Mapping[str, Any], answer: HttpResponse) -> Iterator[str]:
    content = described.get("content", {})
    if not content or not answer.content:
        if bool(content) != bool(answer.content):
            yield f"the body is {answer.content[:100]!r}."
        return
    media = answer.headers.get("Content-Type", "").partition(";")[0]
    if media not in content:
        yield f"the media type is {media}."
        return
    if media.endswith("json"):
        validator = _validator(orjson.dumps(content[media]["schema"]))
        for error in validator.iter_errors(orjson.loads(answer.content)):
            yield f"{error.json_path}: {error.message[:300]}"


@cache
def _validator(schema: bytes) -> Any:
    root = {**orjson.loads(schema), "components": document()["components"]}
    return jsonschema.Draft7Validator(_closed(root), format_checker=FORMATS)


def _closed(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 in JSON Schema's words, with no fields beyond those it names."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made:
        made.setdefault("additionalProperties", False)
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made
