"""A real MCP server (the official SDK): on loopback, or as a program over stdin and stdout."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

LATEST = b"2026-07-28"


@dataclass
class Site:
    """Where the server is, what it was sent, and how it behaves."""

    tools: MCPServer
    is_legacy: bool = False
    port: int = 0
    # Answered instead of anything else, if it is not 0.
    status: int = 0
    # The same, each for one request.
    once: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    # Set when a call of `wait` has begun.
    waiting: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"


def make_tools(calls: list[str], waiting: threading.Event | None = None) -> MCPServer:
    """Tools that read, write, fail, wait and say too much."""
    server = MCPServer("weather", version="1.0")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def forecast(city: str, days: int = 1) -> dict[str, Any]:
        """The weather of the days to come."""
        calls.append("forecast")
        return {"city": city, "days": days, "sky": "clear"}

    @server.tool(structured_output=False)
    def note(text: str) -> str:
        """Writes something down."""
        calls.append("note")
        return f"noted: {text}"

    @server.tool(annotations=ToolAnnotations(idempotent_hint=True))
    def fail() -> str:
        """Never works."""
        raise ToolError("the barometer broke")

    @server.tool()
    async def wait() -> str:
        """Takes its time."""
        if waiting:
            waiting.set()
        await asyncio.sleep(30)
        return "late"

    @server.tool(structured_output=False)
    def shout(size: int) -> str:
        """Says very much."""
        return "x" * size

    return server


@contextmanager
def mcp_site(*, is_legacy: bool = False) -> Iterator[Site]:
    """Serve until the block ends; a legacy server knows no revision after 2025-11-25."""
    site = Site(MCPServer("none"), is_legacy)
    site.tools = make_tools(site.calls, site.waiting)
    app: Any = site.tools.streamable_http_app()

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            site.headers.append({name.decode(): value.decode() for name, value in headers.items()})
            status = site.once.pop(0) if site.once else site.status
            if site.is_legacy and headers.get(b"mcp-protocol-version") == LATEST:
                status = 400
            if status:
                await send({"type": "http.response.start", "status": status, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(door, port=0, log_level="critical", timeout_graceful_shutdown=1, ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        site.port = server.servers[0].sockets[0].getsockname()[1]
        yield site
    finally:
        server.should_exit = True
        thread.join(10)


if __name__ == "__main__":
    make_tools([]).run("stdio")
