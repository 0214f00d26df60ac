"""Reads a public web page."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from html import unescape
from typing import Any, Final, TypeAlias
from uuid import UUID

import httpx

from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolFailed
from kernel import outbound
from kernel.outbound import MAX_REDIRECTS, OutboundPolicy, Reply

Fetch: TypeAlias = Callable[[], Awaitable[Reply]]
CallHost: TypeAlias = Callable[[UUID, str, Fetch], Awaitable[Reply]]
"""Makes an organization's call of a host, unless that is not to be called now."""

MAX_BYTES: Final = 500_000
MAX_CHARACTERS: Final = 40_000
# Of each host: one that is redirected to late must not seem slow. The tool's own ends them all.
DEADLINE_SECONDS: Final = 20.0
HEADERS: Final = {"user-agent": "AgentHub/1.0", "accept": "text/*, application/json, */*;q=0.5"}
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TEXTUAL: Final = ("text/", "application/json", "application/xml", "+json", "+xml", "javascript")
_UNREAD: Final = re.compile(r"<(script|style|noscript|svg|head)\b", re.IGNORECASE)


async def call_at_once(_organization_id: UUID, _host: str, fetch: Fetch) -> Reply:
    """Where nothing is known of hosts."""
    return await fetch()


def http_get(policy: OutboundPolicy, call_host: CallHost = call_at_once) -> Tool:
    """The tool, bound to the networks that `policy` opens; `call_host` is asked for each hop."""

    async def call(context: ToolContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
        async with outbound.async_client(policy) as client:
            host = partial(call_host, context.organization_id)
            reply = await _follow(client, arguments["url"], host)
        text = _readable(reply)
        return {
            "status": reply.status,
            "url": reply.url,
            "content_type": reply.content_type,
            "text": text[:MAX_CHARACTERS],
            "truncated": reply.truncated or len(text) > MAX_CHARACTERS,
        }

    return Tool(
        name="http_get",
        description=(
            "Reads a web page or JSON document with a GET request and returns its status, content"
            " type and text. Private addresses cannot be reached."
        ),
        parameters={
            "type": "object",
            "properties": {
                "url": {
                    "type": "string",
                    "description": "An absolute https address.",
                    "minLength": 1,
                    "maxLength": 2000,
                }
            },
            "required": ["url"],
            "additionalProperties": False,
        },
        call=call,
        timeout_seconds=DEADLINE_SECONDS + 5,
        idempotent=True,
        side_effect="read",
        is_external=True,
    )


async def _follow(
    client: httpx.AsyncClient, url: str, call_host: Callable[[str, Fetch], Awaitable[Reply]]
) -> Reply:
    """The answer at the end of the redirects: httpx would hide which host of them failed."""
    target = _joined(httpx.URL(), url)
    for _ in range(MAX_REDIRECTS + 1):
        fetch = partial(
            outbound.fetch_async,
            client,
            "GET",
            str(target),
            headers=HEADERS,
            max_bytes=MAX_BYTES,
            deadline_seconds=DEADLINE_SECONDS,
        )
        reply = await call_host(target.raw_host.decode(), fetch)
        location = reply.headers.get("location")
        if reply.status not in REDIRECTS or location is None:
            return reply
        target = _joined(target, location)
    raise ToolFailed(f"The other side redirected more than {MAX_REDIRECTS} times.")


def _joined(base: httpx.URL, url: str) -> httpx.URL:
    try:
        return base.join(url)
    except httpx.InvalidURL:
        raise ToolFailed("The address is not a valid http or https URL. Check it.") from None


def _readable(reply: outbound.Reply) -> str:
    kind = reply.content_type.partition(";")[0].strip().lower()
    if kind and not any(mark in kind for mark in _TEXTUAL):
        raise ToolFailed(f"The address holds {kind[:80]}, which is not text.")
    if kind != "text/html":
        return reply.text
    bare = unescape(_without_markup(reply.text))
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+", " ", bare)).strip()


def _without_markup(html: str) -> str:
    """The text between the tags, scripts and styles left out.

    One pass and no backtracking: a hostile page must not hold up the loop. An unclosed tag, comment
    or script ends the text.
    """
    pieces, lower, place = [], html.lower(), 0
    while (tag := html.find("<", place)) >= 0:
        pieces += [html[place:tag], " "]
        if html.startswith("<!--", tag):
            end = html.find("-->", tag)
        else:
            unread = _UNREAD.match(html, tag)
            closing = lower.find(f"</{unread[1].lower()}", tag) if unread else tag
            end = html.find(">", closing) if closing >= 0 else -1
        if end < 0:
            return "".join(pieces)
        place = html.index(">", end) + 1
    return "".join([*pieces, html[place:]])
