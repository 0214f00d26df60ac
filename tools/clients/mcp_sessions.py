"""MCP servers, through the official SDK: one connection for each source and process.

Protocol revisions 2026-07-28 and, by the `initialize` handshake, 2025-11-25 and earlier. The SDK
takes a second to import; who needs it loads this module late (`tools.clients.mcp`).
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from typing import Any, Final
from uuid import UUID

import mcp_types as types
import structlog
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from pydantic import ValidationError

from kernel import json_schemas
from kernel.errors import DomainError
from kernel.outbound import OutboundFailed, OutboundRefused
from kernel.outbound_streams import stream_client
from tools import choices
from tools.choices import SideEffect
from tools.clients.endpoints import Described, Endpoint, Listing, described
from tools.clients.mcp_streams import TOO_MUCH, bounded
from tools.errors import SourceFailed, SourceRefuses, ToolCallFailed

MOST_BYTES: Final = 1_000_000
MOST_PAGES: Final = 100
CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 300.0
# The SDK's words for a session that the server forgot, and for HTTP statuses from 400 on.
SESSION_ENDED: Final = "Session terminated"
HTTP_ERROR: Final = "Server returned an error response"
log = structlog.get_logger(__name__)
HUB: Final = types.Implementation(name="agent-hub", version="1")
# It writes what servers send into the log, which may be anything.
for _name in ("mcp", "client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class SessionEnded(SourceFailed):
    """The server has forgotten the session, and so has done nothing."""


class Session:
    """A connection that a task of its own keeps open until it is not used for a while."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.key = endpoint.key
        self._endpoint = endpoint
        self._closing = asyncio.Event()
        self._users = 0
        self._is_retired = False
        self._idle_since = asyncio.get_running_loop().time()
        # Why it ended, and the last HTTP status that was no success.
        self._failure: DomainError | None = None
        self._refusal: DomainError | None = None
        self._client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # It outlives the call that opened it, and so must not be taken for a part of it.
        self._task = asyncio.create_task(self._live(), context=Context())

    @property
    def is_over(self) -> bool:
        return self._is_retired or self._closing.is_set() or self._task.done()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Client]:
        """The connected client; raises SourceFailed or SourceRefuses."""
        self._users += 1
        try:
            try:
                client = await asyncio.shield(self._client)
                yield client
            except MCPError as error:
                if error.message == SESSION_ENDED:
                    self._closing.set()
                    raise SessionEnded from None
                if error.code == CONNECTION_CLOSED:
                    self._closing.set()
                raise await self._explained(error) from None
            except ValidationError:  # its words would repeat what was sent
                raise SourceFailed("The hub could not read what the MCP server sent.") from None
            except TimeoutError:
                raise SourceFailed("The tool source did not answer in time.") from None
        finally:
            self._users -= 1
            if self._is_retired:
                self.retire()
            self._idle_since = asyncio.get_running_loop().time()

    def retire(self) -> None:
        """Take no more calls, and end with the last of those that run."""
        self._is_retired = True
        if not self._users:
            self._closing.set()

    async def close(self) -> None:
        """End it, whatever still runs on it."""
        self._closing.set()
        await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as limit, AsyncExitStack() as stack:
                client = await stack.enter_async_context(await self._opened(stack))
                # A server's schema of its output could hold up the loop; results are data here.
                client.session.validate_tool_result = _unchecked  # type: ignore[method-assign]
                limit.reschedule(None)
                self._client.set_result(client)
                await self._until_idle()
        except asyncio.CancelledError as error:
            self._fail(error)
            raise
        except BaseException as error:  # noqa: BLE001 - groups of whatever the transport raised
            self._fail(error)

    async def _opened(self, stack: AsyncExitStack) -> Client:
        endpoint = self._endpoint
        if endpoint.argv:
            command, *arguments = endpoint.argv
            # Not `sys.stderr`: Celery puts an object there that no process can write to.
            server = StdioServerParameters(command=command, args=arguments)
            transport = stdio_client(server, errlog=sys.__stderr__ or sys.stderr)
        else:
            http = stream_client(
                endpoint.policy,
                max_bytes=MOST_BYTES,
                timeout_seconds=choices.MOST_TIMEOUT_SECONDS,
            )
            http.headers.update(endpoint.headers)
            http.event_hooks = {"response": [self._look_at]}
            await stack.enter_async_context(http)
            transport = streamable_http_client(endpoint.url, http_client=http)
        return Client(bounded(transport), client_info=HUB, cache=None)

    async def _look_at(self, answer: Any) -> None:
        # The SDK tells a caller no more than that there was an error.
        status = answer.status_code
        if status in {401, 403}:
            self._refusal = SourceRefuses(
                f"The MCP server answered HTTP {status}. Check the source's headers."
            )
        elif status >= 500:
            self._refusal = SourceFailed(f"The MCP server answered HTTP {status}.")

    async def _until_idle(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS / 10):
                    await self._closing.wait()
            if not self._users and clock() - self._idle_since > IDLE_SECONDS:
                self._closing.set()

    def _fail(self, error: BaseException) -> None:
        self._closing.set()
        self._failure = self._reason(error)
        # Its kinds alone: what a server says may be anything.
        log.warning("tools.mcp.ended", source_id=str(self._endpoint.source_id), kinds=_kinds(error))
        if not self._client.done():
            self._client.set_exception(self._failure)
            self._client.exception()  # nobody may be waiting any more

    async def _explained(self, error: MCPError) -> DomainError:
        """The refusal that stands for an error of the SDK."""
        if error.code == CONNECTION_CLOSED:
            # The transport's own task knows why, in a moment.
            await asyncio.wait([self._task], timeout=1)
            return self._failure or SourceFailed("The MCP server closed the connection.")
        return self._reason(error)

    def _reason(self, error: BaseException) -> DomainError:
        """What a person is told of an error of SDK or transport; groups have one inside."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, OutboundRefused):
            return SourceRefuses(error.detail)
        if isinstance(error, OutboundFailed):
            return SourceFailed(error.detail)
        if isinstance(error, FileNotFoundError | PermissionError):
            return SourceRefuses(
                "The command of the MCP server cannot be started. Ask the operator."
            )
        if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
            return self._told(error)
        if isinstance(error, TimeoutError):
            return SourceFailed("The MCP server did not answer in time.")
        return SourceFailed("The MCP server could not be reached, or broke off.")

    def _told(self, error: MCPError) -> DomainError:
        if error.code == REQUEST_TIMEOUT:
            return SourceFailed("The MCP server did not answer in time.")
        if error.message == TOO_MUCH:
            return SourceRefuses(TOO_MUCH)
        if error.message == HTTP_ERROR and self._refusal is not None:
            return self._refusal
        return SourceRefuses(
            f"The MCP server refuses: {json_schemas.clean(str(error.message)[:500])}"
        )


class Sessions:
    """The connections of this process; each belongs to one source, so to one organization."""

    def __init__(self) -> None:
        self._open: dict[UUID, Session] = {}

    def of(self, endpoint: Endpoint) -> Session:
        """The source's connection, a new one if it ended or the source has changed."""
        found = self._open.get(endpoint.source_id)
        if found is None or found.is_over or found.key != endpoint.key:
            if found is not None:
                found.retire()
            self._open = {pk: each for pk, each in self._open.items() if not each.is_over}
            found = self._open[endpoint.source_id] = Session(endpoint)
        return found

    async def close(self) -> None:
        """End all of them."""
        sessions, self._open = list(self._open.values()), {}
        await asyncio.gather(*(session.close() for session in sessions))


async def list_tools(sessions: Sessions, endpoint: Endpoint) -> Listing:
    """What the server has; raises SourceFailed or SourceRefuses."""
    try:
        return await _list(sessions.of(endpoint), endpoint)
    except SessionEnded:
        return await _list(sessions.of(endpoint), endpoint)


async def _list(session: Session, endpoint: Endpoint) -> Listing:
    async with session.used() as client:
        listing = Listing(endpoint, f"MCP {client.protocol_version}"[:64])
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            async with asyncio.timeout(choices.LIST_SECONDS):
                page = await client.list_tools(cursor=cursor)
            # Off the loop: large schemas take seconds.
            await asyncio.to_thread(_add_page, listing, page)
            cursor = page.next_cursor
            if cursor is None:
                return listing
    raise SourceRefuses(f"The MCP server has more than {MOST_PAGES} pages of tools.")


def _add_page(listing: Listing, page: types.ListToolsResult) -> None:
    for tool in page.tools:
        listing.add(tool.name, partial(_described, tool, listing))


async def call_tool(
    sessions: Sessions,
    endpoint: Endpoint,
    binding: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    seconds: float,
) -> Any:
    """Structured content if there is any, else the text.

    Raises ToolCallFailed with the tool's own words, SourceFailed or SourceRefuses.
    """
    name, sent = binding["name"], dict(arguments)
    try:
        result = await _call(sessions.of(endpoint), name, sent, seconds)
    except SessionEnded:
        result = await _call(sessions.of(endpoint), name, sent, seconds)
    text = "\n".join(_text(block) for block in result.content)
    if result.is_error:
        raise ToolCallFailed(
            json_schemas.clean(text[:2_000]) or "The tool failed and gave no reason."
        )
    return text if result.structured_content is None else result.structured_content


async def _call(
    session: Session, name: str, arguments: dict[str, Any], seconds: float
) -> types.CallToolResult:
    async with session.used() as client, asyncio.timeout(seconds):
        return await client.call_tool(name, arguments)


def _described(tool: types.Tool, listing: Listing) -> Described:
    hints = tool.annotations or types.ToolAnnotations()
    is_read = hints.read_only_hint is True
    return described(
        name=tool.name,
        description=tool.description or tool.title,
        schema=tool.input_schema,
        budget=listing.budget,
        binding={"name": tool.name},
        side_effect=SideEffect.READ if is_read else SideEffect.WRITE,
        is_idempotent=is_read or hints.idempotent_hint is True,
    )


def _kinds(error: BaseException) -> list[str]:
    """The classes of an error and of those that it is about, outermost first."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [type(error).__name__, *(kind for each in inner for kind in _kinds(each))]


def _text(block: Any) -> str:
    if isinstance(block, types.TextContent):
        return block.text
    kind = getattr(block, "mime_type", None) or block.type
    return f"[{kind}, left out]"


async def _unchecked(name: str, result: types.CallToolResult) -> None:
    """Instead of the SDK's check of structured content."""
