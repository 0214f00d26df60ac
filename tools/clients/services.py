"""Services that list their tools at `/api/mcp-tools` (contract 004 C3)."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import orjson

from kernel import json_schemas
from kernel.json_schemas import SchemaRefused
from kernel.outbound import Reply
from tools import choices
from tools.choices import SideEffect
from tools.clients.endpoints import (
    Described,
    Endpoint,
    Listing,
    answer_of,
    ask,
    described,
    document_of,
)
from tools.errors import SourceFailed

PROTOCOL: Final = "/api/mcp-tools"
PATH: Final = "/api/mcp-tools"


async def list_tools(endpoint: Endpoint) -> Listing:
    """What the service has; raises SourceFailed or SourceRefuses."""
    reply = await ask(
        endpoint,
        "GET",
        f"{endpoint.url.rstrip('/')}{PATH}",
        seconds=choices.LIST_SECONDS,
        max_bytes=choices.MOST_DOCUMENT_BYTES,
    )
    # Off the loop: a large list takes seconds.
    return await asyncio.to_thread(_read, endpoint, reply)


def _read(endpoint: Endpoint, reply: Reply) -> Listing:
    try:
        found = orjson.loads(document_of(reply))
    except ValueError:
        raise SourceFailed("The tool source sent no JSON. Check its address.") from None
    tools = found.get("tools") if isinstance(found, dict) else None
    if not isinstance(tools, list):
        raise SourceFailed("The tool source sent no list of tools. Check its address.")
    listing = Listing(endpoint, PROTOCOL)
    for tool in tools:
        known = tool if isinstance(tool, dict) else {}
        listing.add(known.get("name"), partial(_described, known, listing))
    return listing


async def call_tool(
    endpoint: Endpoint, binding: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
) -> Any:
    """The service's answer; raises SourceFailed or SourceRefuses."""
    reply = await ask(
        endpoint,
        "POST",
        f"{endpoint.url.rstrip('/')}{PATH}/call",
        content=orjson.dumps({"name": binding["name"], "arguments": dict(arguments)}),
        headers={"content-type": "application/json"},
        seconds=seconds,
    )
    return answer_of(reply)


def _described(tool: Mapping[str, Any], listing: Listing) -> Described:
    roles = tool.get("requiredRoles") or []
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise SchemaRefused("its requiredRoles are no list of names")
    return described(
        name=tool["name"],
        description=tool.get("description"),
        schema=tool.get("inputSchema"),
        budget=listing.budget,
        binding={"name": tool["name"]},
        side_effect=SideEffect.WRITE,
        is_idempotent=False,
        roles=tuple(json_schemas.clean(role[:100]) for role in roles),
    )
