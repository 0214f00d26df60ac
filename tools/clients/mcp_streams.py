"""The guard of what MCP servers send: the SDK would check it value by value, on the event loop."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Self

from mcp.client._transport import ReadStream, TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import (
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from kernel.json_validation import walk

MOST_VALUES: Final = 60_000
TOO_MUCH: Final = f"The MCP server sent more than {MOST_VALUES} values at once."


@asynccontextmanager
async def bounded(
    transport: AbstractAsyncContextManager[TransportStreams],
) -> AsyncIterator[TransportStreams]:
    """`transport`, where an answer of too many values is the error TOO_MUCH, and whatever else has
    too many is dropped."""
    async with transport as (received, sent):
        yield _Bounded(received), sent


class _Bounded:
    def __init__(self, stream: ReadStream[SessionMessage | Exception]) -> None:
        self._stream = stream

    @property
    def last_context(self) -> Any:
        """The sender's, of the last message, where the stream knows it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message that is not dropped."""
        while (message := _bounded(await self._stream.receive())) is None:
            pass
        return message

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while (message := _bounded(await anext(self._stream))) is None:
            pass
        return message

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> bool | None:
        return await self._stream.__aexit__(*raised)


def _bounded(item: SessionMessage | Exception) -> SessionMessage | Exception | None:
    message = None if isinstance(item, Exception) else item.message
    if isinstance(message, JSONRPCResponse) and _is_too_much(message.result):
        error = ErrorData(code=PARSE_ERROR, message=TOO_MUCH)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=message.id, error=error))
    if isinstance(message, JSONRPCRequest | JSONRPCNotification) and _is_too_much(message.params):
        return None
    return item


def _is_too_much(value: Any) -> bool:
    held = 0
    for each, _ in walk(value):
        held += len(each)
        if held > MOST_VALUES:
            return True
    return False
