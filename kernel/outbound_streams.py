"""The guard of `kernel.outbound` for clients of httpx2, whose answers may be endless streams."""

import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Final

import httpx
import httpx2

from kernel import outbound
from kernel.outbound import OutboundPolicy

# Lists and objects of one answer, counted as brackets: each costs its reader a microsecond.
MOST_OPENED: Final = 100_000
_IDENTITY: Final = "identity"


class AnswerTooLong(httpx2.StreamError):
    """The other side sent more than anybody reads."""


def stream_client(
    policy: OutboundPolicy, *, max_bytes: int, timeout_seconds: float
) -> httpx2.AsyncClient:
    """A guarded client for one origin: its connections are kept and used again.

    Each answer is at most `max_bytes` long and opens at most MOST_OPENED brackets, or reading it
    raises AnswerTooLong; the timeout is for each wait. Proxies of the environment are ignored.
    """
    return httpx2.AsyncClient(
        transport=GuardedStreams(policy, max_bytes=max_bytes),
        timeout=timeout_seconds,
        headers={"accept-encoding": _IDENTITY, "user-agent": "AgentHub/1.0"},
        trust_env=False,
    )


class GuardedStreams(httpx2.AsyncBaseTransport):
    """Judges and pins the address of every request, and bounds its answer."""

    def __init__(self, policy: OutboundPolicy, *, max_bytes: int) -> None:
        self._policy = policy
        self._max_bytes = max_bytes
        self._inner = httpx2.AsyncHTTPTransport(verify=_tls_context())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        addresses = await outbound.pinned_addresses(self._policy, httpx.URL(str(request.url)))
        for number, address in enumerate(addresses, start=1):
            try:
                answer = await self._inner.handle_async_request(_pinned(request, str(address)))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(addresses):
                    raise
                continue
            if isinstance(answer.stream, httpx2.AsyncByteStream):
                coding = answer.headers.get("content-encoding", _IDENTITY).lower()
                answer.stream = _Bounded(
                    answer.stream, self._max_bytes, is_plain=coding == _IDENTITY
                )
            return answer
        raise outbound.OutboundFailed

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int, *, is_plain: bool) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._is_plain = is_plain

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._is_plain:  # a few compressed bytes can hide gigabytes
            raise AnswerTooLong("The answer is compressed although nobody asked.")
        size = opened = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._max_bytes:
                raise AnswerTooLong(f"The answer is longer than {self._max_bytes} bytes.")
            opened += chunk.count(b"[") + chunk.count(b"{")
            if opened > MOST_OPENED:
                raise AnswerTooLong(f"The answer has more than {MOST_OPENED} lists and objects.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,  # Host still names the original.
        stream=request.stream,
        extensions={
            **request.extensions,
            "sni_hostname": request.url.raw_host.decode("ascii").strip("[]"),
        },
    )


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
