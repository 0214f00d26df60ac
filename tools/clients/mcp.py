"""MCP servers as this process knows them: the SDK, loaded when the first of them is asked."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tools.clients.endpoints import Endpoint, Listing

_sessions: Any = None


async def list_tools(endpoint: Endpoint) -> Listing:
    """What the server has; raises SourceFailed or SourceRefuses."""
    sdk = await _load()
    listing: Listing = await sdk.list_tools(_sessions, endpoint)
    return listing


async def call_tool(
    endpoint: Endpoint, binding: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
) -> Any:
    """The tool's answer; raises ToolCallFailed, SourceFailed or SourceRefuses."""
    sdk = await _load()
    return await sdk.call_tool(_sessions, endpoint, binding, arguments, seconds=seconds)


async def close() -> None:
    """End every connection of this process."""
    global _sessions
    if _sessions is not None:
        sessions, _sessions = _sessions, None
        await sessions.close()


async def _load() -> Any:
    global _sessions  # noqa: PLW0603 - the same
    # Off the loop, which a second of imports would hold up.
    sdk = await asyncio.to_thread(import_module, "tools.clients.mcp_sessions")
    if _sessions is None:
        _sessions = sdk.Sessions()
    return sdk
