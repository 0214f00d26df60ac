"""Calling an operation of an OpenAPI service, from the arguments alone."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

import orjson

from tools.clients.endpoints import Endpoint, answer_of, ask, origin_of
from tools.errors import SourceRefuses

PLACES: Final = ("path", "query", "header")


async def call_tool(
    endpoint: Endpoint, binding: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
) -> Any:
    """The service's answer; raises SourceFailed or SourceRefuses."""
    parts = _parts(endpoint, str(binding["url"]))
    path, query, headers = parts.path, [], {}
    for parameter in binding["parameters"]:
        if (value := arguments.get(parameter["argument"])) is None:
            continue
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", _segment(value))
        elif parameter["in"] == "query":
            query += [
                (name, _text(each)) for each in (value if isinstance(value, list) else [value])
            ]
        else:
            headers[name] = _header(name, value)
    url = urlunsplit(parts._replace(path=path))
    if query:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"
    content = None
    body = binding["body"]
    if body and body["argument"] in arguments:
        headers["content-type"] = body["content_type"]
        content = _content(arguments[body["argument"]], body["content_type"])
    method = str(binding["method"]).upper()
    return answer_of(
        await ask(endpoint, method, url, content=content, headers=headers, seconds=seconds)
    )


def _parts(endpoint: Endpoint, url: str) -> SplitResult:
    """The address of an operation, as a refresh wrote it; raises SourceRefuses."""
    parts = urlsplit(url)
    ours = endpoint.server_url or endpoint.url
    if set("{}") & set(parts.netloc):
        raise SourceRefuses("The address of the operation is not whole. Refresh the tool source.")
    if ours and endpoint.headers and origin_of(url) != origin_of(ours):
        raise SourceRefuses(
            "The operation is on another host than its source, whose credentials do not go there."
            " Refresh the tool source."
        )
    return parts


def _segment(value: Any) -> str:
    text = _text(value)
    if text in {"", ".", ".."}:  # would be another path
        raise SourceRefuses(f"The path cannot hold {text!r}. Use another value.")
    return quote(text, safe="")


def _header(name: str, value: Any) -> str:
    text = _text(value)
    if not text.isascii() or not text.isprintable():
        raise SourceRefuses(f"The header {name} cannot hold this value. Use plain ASCII.")
    return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _content(value: Any, content_type: str) -> bytes:
    if content_type.endswith("json"):
        return orjson.dumps(value)
    if not isinstance(value, Mapping):
        raise SourceRefuses("The body is a form: send an object with its fields.")
    return urlencode({name: _text(each) for name, each in value.items()}).encode()
