"""The HTTP client under every provider SDK."""

import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Final

import httpx2
from pydantic_ai.exceptions import UnexpectedModelBehavior

from agents.runtime.providers import ProviderSettings

# Many idle connections cost more CPU than reopening a few: 20 instead of 200 saved a fifth.
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=20)
MAX_RESPONSE_BYTES: Final = 16_000_000
MAX_LINE_BYTES: Final = 500_000


def timeouts(settings: ProviderSettings) -> httpx2.Timeout:
    """Bounds for each wait of a call; the run's own timeout bounds the call."""
    return httpx2.Timeout(
        settings.read_timeout_seconds,
        connect=settings.connect_timeout_seconds,
        pool=settings.connect_timeout_seconds,
    )


def new_client(settings: ProviderSettings) -> httpx2.AsyncClient:
    """A pooled client; proxies and CA files of the environment apply.

    Reading a body raises UnexpectedModelBehavior beyond 16 MB, or 0.5 MB without a line end: the
    SDKs hold a line in memory until it ends and parse it in one piece, while all other runs wait.
    """
    return httpx2.AsyncClient(
        timeout=timeouts(settings),
        limits=_LIMITS,
        verify=_tls_context(),
        # Compressed bytes would be counted before they swell.
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, *, is_plain: bool) -> None:
        self._stream = stream
        self._is_plain = is_plain

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._is_plain:
            raise UnexpectedModelBehavior("The response is compressed although nobody asked.")
        size = line = 0
        async for chunk in self._stream:
            size += len(chunk)
            end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
            line = line + len(chunk) if end < 0 else len(chunk) - end - 1
            if size > MAX_RESPONSE_BYTES or line > MAX_LINE_BYTES:
                raise UnexpectedModelBehavior("The response is longer than any model writes.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    # Raising here would pass for a connection that failed.
    if isinstance(response.stream, httpx2.AsyncByteStream):
        encoding = response.headers.get("content-encoding", "identity")
        response.stream = _BoundedStream(response.stream, is_plain=encoding == "identity")


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
