"""OpenAPI 3.0 and 3.1 documents: each operation becomes a tool."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin

import orjson
import yaml

from kernel import json_schemas
from kernel.json_schemas import SchemaReader, SchemaRefused, Total
from tools import choices
from tools.choices import SideEffect
from tools.clients.endpoints import Described, Endpoint, Listing, ask, document_of, origin_of
from tools.clients.openapi_calls import PLACES
from tools.errors import SourceFailed, SourceRefuses

METHODS: Final = {
    "get": (SideEffect.READ, True),
    "head": (SideEffect.READ, True),
    "options": (SideEffect.READ, True),
    # RFC 9110: may be repeated with the same effect.
    "put": (SideEffect.WRITE, True),
    "delete": (SideEffect.WRITE, True),
    "post": (SideEffect.WRITE, False),
    "patch": (SideEffect.WRITE, False),
}
MOST_PARAMETERS: Final = 100
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MOST_DEPTH: Final = 100
MOST_URL: Final = 2_000
MOST_YAML_BYTES: Final = 2_000_000
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The hub's own, or described elsewhere in the document (OpenAPI 3.1, parameter object).
_RESERVED_HEADERS: Final = frozenset(
    {"accept", "authorization", "connection", "content-length", "content-type", "cookie", "host"}
    | {"transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    method: str
    item: Mapping[str, Any]
    operation: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def name(self) -> str:
        """The document's name for it, else one made of method and path, as a tool's name."""
        name = str(self.operation.get("operationId") or f"{self.method}{self.path}")
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")[:128]


async def list_tools(endpoint: Endpoint) -> Listing:
    """What the document describes; raises SourceFailed or SourceRefuses."""
    text: bytes | str = endpoint.document
    if not text:
        reply = await ask(
            endpoint,
            "GET",
            endpoint.url,
            headers={"accept": "application/json, application/yaml, */*;q=0.5"},
            seconds=choices.LIST_SECONDS,
            max_bytes=choices.MOST_DOCUMENT_BYTES,
        )
        text = document_of(reply)
    # Off the loop: a large document takes seconds.
    return await asyncio.to_thread(lambda: read(parse(text), endpoint))


def parse(text: bytes | str) -> Mapping[str, Any]:
    """A JSON or YAML document; raises SourceFailed."""
    try:
        found = orjson.loads(text)
    except ValueError:
        found = _yaml(text)
    document = _mapping(found)
    if not str(document.get("openapi")).startswith(("3.0", "3.1")):
        raise SourceFailed("This is no OpenAPI document of version 3.0 or 3.1. Check the address.")
    return document


def read(document: Mapping[str, Any], endpoint: Endpoint) -> Listing:
    """The document's operations as tools; raises SourceRefuses."""
    server = server_of(document, endpoint)
    listing = Listing(endpoint, f"OpenAPI {json_schemas.clean(str(document['openapi'])[:8])}")
    reader = SchemaReader(document, listing.budget)
    for found in _operations(document):
        operation = _Operation(document, reader)
        listing.add(found.name, partial(operation.described, found.name, found, server))
    return listing


def server_of(document: Mapping[str, Any], endpoint: Endpoint) -> str:
    """Where the operations are called: what a person said, else what the document says.

    Credentials go to a server of the document only if it is where the document came from: else
    whoever changes the document could have them sent anywhere. Raises SourceRefuses.
    """
    if endpoint.server_url:
        return endpoint.server_url.rstrip("/")
    url, is_foreign = _first_server(document), False
    try:
        url = urljoin(endpoint.url, url).rstrip("/")
        scheme, host, _ = origin = origin_of(url)
        is_foreign = bool(endpoint.url) and origin != origin_of(endpoint.url)
    except ValueError:
        scheme = host = ""
    if scheme not in {"http", "https"} or not host:
        raise SourceRefuses("The document names no server. Set `server_url`.")
    if set("{}") & set(url):  # a parameter of a path would fill it in
        raise SourceRefuses("The document's server has variables that it does not describe.")
    if is_foreign and endpoint.headers:
        raise SourceRefuses(
            "The document names a server on another host, which gets no credentials unasked."
            " Set `server_url` if it is to be called."
        )
    return url


def _first_server(document: Mapping[str, Any]) -> str:
    servers = document.get("servers")
    first = _mapping(servers[0]) if isinstance(servers, list) and servers else {}
    url = _short(first.get("url", "/"))
    for name, variable in _mapping(first.get("variables")).items():
        # Bounded before, too: the address may hold it hundreds of times.
        value = _short(_mapping(variable).get("default", ""))
        url = _short(url.replace(f"{{{name}}}", value))  # one variable may hold others, twice
    return url


def _short(found: Any) -> str:
    try:
        text = str(found)
    except ValueError:  # a number of thousands of digits
        text = ""
    if len(text) > MOST_URL or (found and not text):
        raise SourceRefuses("The document's server has too long an address.")
    return text


def _operations(document: Mapping[str, Any]) -> "Iterator[_Found]":
    for path, item in _mapping(document.get("paths")).items():
        if not isinstance(item, dict) or not str(path).startswith("/"):
            continue
        for method in METHODS:
            if isinstance(operation := item.get(method), dict):
                yield _Found(str(path), method, item, operation)


class _Operation:
    """One operation while it is made a tool; raises SchemaRefused."""

    def __init__(self, document: Mapping[str, Any], reader: SchemaReader) -> None:
        self._document = document
        self._reader = reader
        self._total = Total()
        self._properties: dict[str, Any] = {}
        self._required: list[str] = []
        self._bound: list[dict[str, str]] = []
        self._body: dict[str, str] | None = None

    def described(self, name: str, found: "_Found", server: str) -> Described:
        """The tool."""
        operation = found.operation
        for parameter in self._parameters(found):
            self._add_parameter(parameter)
        if operation.get("requestBody") is not None:
            self._add_body(self._dereferenced(operation["requestBody"]))
        in_path = {each["name"] for each in self._bound if each["in"] == "path"}
        if not set(re.findall(r"\{([^}]+)\}", found.path)) <= in_path:
            raise SchemaRefused("its path has parameters that it does not describe")
        side_effect, is_idempotent = METHODS[found.method]
        words = operation.get("description") or operation.get("summary") or found.title
        return Described(
            name=name,
            description=json_schemas.clean(str(words)[: choices.MOST_DESCRIPTION]),
            parameters=json_schemas.bounded(
                {
                    "type": "object",
                    "properties": self._properties,
                    "required": self._required,
                    "additionalProperties": False,
                }
            ),
            binding=json_schemas.clean(
                {
                    "method": found.method,
                    "url": f"{server}{found.path}",
                    "parameters": self._bound,
                    "body": self._body,
                }
            ),
            side_effect=side_effect,
            is_idempotent=is_idempotent,
        )

    def _parameters(self, found: "_Found") -> list[Mapping[str, Any]]:
        """The operation's own before those of its path, each once."""
        known: dict[tuple[Any, Any], Mapping[str, Any]] = {}
        for owner in (found.operation, found.item):
            listed = owner.get("parameters")
            for each in listed if isinstance(listed, list) else []:
                parameter = self._dereferenced(each)
                known.setdefault((str(parameter.get("in")), str(parameter.get("name"))), parameter)
                if len(known) > MOST_PARAMETERS:
                    raise SchemaRefused(f"it has more than {MOST_PARAMETERS} parameters")
        return list(known.values())

    def _add_parameter(self, parameter: Mapping[str, Any]) -> None:
        name, place = str(parameter.get("name") or ""), str(parameter.get("in"))
        is_needed = bool(parameter.get("required")) or place == "path"
        if place == "cookie" and is_needed:
            raise SchemaRefused("it needs a cookie")
        if place not in PLACES or (place == "header" and name.lower() in _RESERVED_HEADERS):
            return
        tree = self._tree(parameter)
        if isinstance(tree, dict) and isinstance(parameter.get("description"), str):
            words = json_schemas.clean(parameter["description"][:1_000])
            tree = {**tree, "description": words}
        argument = json_schemas.clean(name if name not in self._properties else f"{place}_{name}")
        if argument in self._properties:
            raise SchemaRefused("two of its parameters have one name")
        self._properties[argument] = tree
        self._bound.append({"name": name, "in": place, "argument": argument})
        if is_needed:
            self._required.append(argument)

    def _add_body(self, body: Mapping[str, Any]) -> None:
        contents = {
            str(kind).partition(";")[0].strip(): content
            for kind, content in _mapping(body.get("content")).items()
        }
        kinds = [kind for kind in contents if kind in {JSON, FORM} or kind.endswith("+json")]
        if not kinds:
            if body.get("required"):
                raise SchemaRefused("its body is neither JSON nor a form")
            return
        argument = "body" if "body" not in self._properties else "request_body"
        self._properties[argument] = self._tree(_mapping(contents[kinds[0]]))
        if body.get("required"):
            self._required.append(argument)
        self._body = {"argument": argument, "content_type": kinds[0]}

    def _tree(self, owner: Mapping[str, Any]) -> Any:
        schema = owner.get("schema")
        if schema is None:
            contents = list(_mapping(owner.get("content")).values())
            schema = _mapping(contents[0]).get("schema", {}) if contents else {}
        return self._total.add(self._reader.read(schema))

    def _dereferenced(self, value: Any) -> Mapping[str, Any]:
        for _ in range(8):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if reference is None:
                break
            if not isinstance(reference, str) or not reference.startswith("#"):
                raise SchemaRefused("it refers to another document")
            value = json_schemas.resolve(reference, self._document)
        return _mapping(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _yaml(text: bytes | str) -> Any:
    if len(text) > MOST_YAML_BYTES:  # reading it takes a second for each megabyte
        raise SourceFailed("The document is long: publish it as JSON, or send less of it.")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SourceFailed("The document is neither JSON nor plain YAML. Check it.") from None


def _check_events(text: bytes | str) -> None:
    """No aliases, which can make gigabytes of a line, and no abyss."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("It has aliases.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise yaml.YAMLError("It is too deep.")
