"""Reads a public web page."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, Final

from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolFailed
from kernel import outbound
from kernel.outbound import OutboundPolicy

MAX_BYTES: Final = 500_000
MAX_CHARACTERS: Final = 40_000
DEADLINE_SECONDS: Final = 20.0
_TEXTUAL: Final = ("text/", "application/json", "application/xml", "+json", "+xml", "javascript")
_UNREAD: Final = re.compile(r"<(script|style|noscript|svg|head)\b", re.IGNORECASE)


def http_get(policy: OutboundPolicy) -> Tool:
    """The tool, bound to the networks that `policy` opens."""

    async def call(_context: ToolContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
        async with outbound.async_client(policy) as client:
            reply = await outbound.fetch_async(
                client,
                "GET",
                arguments["url"],
                headers={
                    "user-agent": "AgentHub/1.0",
                    "accept": "text/*, application/json, */*;q=0.5",
                },
                follow_redirects=True,
                max_bytes=MAX_BYTES,
                deadline_seconds=DEADLINE_SECONDS,
            )
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
