"""One wall-clock deadline for everything that a blocking call over the network waits for.

A socket's own timeout begins anew with each byte, and looking a name up has none.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLContext
from threading import Lock, Thread
from typing import Any, Final, TypeVar

import httpcore
import httpx

T = TypeVar("T")
# Threads that still wait for an answer that nobody awaits any more; a resolver gives up by itself.
MOST_AWAITED: Final = 32
# A TLS record: as much as one wait of a socket sends.
_PIECE: Final = 16_384

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)
_awaited: dict[Hashable, Future[Any]] = {}
_lock = Lock()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What the block does through `Transport` and `wait_for` ends after `seconds` altogether."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def wait_for(key: Hashable, ask: Callable[[], T]) -> T:
    """What `ask`, which cannot be interrupted, answers until the deadline; TimeoutError after it.

    With a deadline it runs on a thread that lives until it answers. Who asks by the same `key`
    meanwhile shares it, and beyond MOST_AWAITED of them TimeoutError comes at once.
    """
    ends_at = _ends_at.get()
    if ends_at is None:
        return ask()
    with _lock:
        future: Future[T] | None = _awaited.get(key)
        if future is None:
            if len(_awaited) >= MOST_AWAITED:
                raise TimeoutError
            future = Future()
            # Daemons: a process that ends does not wait for a resolver.
            thread = Thread(
                target=_answer, args=(key, ask, future), name="hub-deadline", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the machine has no thread left
                raise TimeoutError from None
            _awaited[key] = future
    return future.result(max(0.0, ends_at - time.monotonic()))


class Transport(httpx.HTTPTransport):
    """httpx's own, but every wait is cut to what the deadline leaves, if there is one."""

    def __init__(self, context: SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, limits=limits)
        # httpx has no option for the backend; all else is as it makes it.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, seconds, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            self._inner.write(piece, _cut(timeout, httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        # Python bounds a handshake as a whole, not each of its waits.
        seconds = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _cut(timeout: float | None, late: type[Exception]) -> float | None:
    ends_at = _ends_at.get()
    if ends_at is None:
        return timeout
    left = ends_at - time.monotonic()
    if left <= 0:
        raise late
    return left if timeout is None else min(left, timeout)


def _answer(key: Hashable, ask: Callable[[], T], future: "Future[T]") -> None:
    try:
        future.set_result(ask())
    except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
        future.set_exception(error)
    finally:
        with _lock:
            del _awaited[key]
