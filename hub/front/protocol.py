"""HTTP as uvicorn speaks it, with the bounds that it leaves out: heads, readers, the last hour."""

import asyncio
import fcntl
import struct
import termios
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 20.0
READ_SECONDS: Final = 30.0
# For an answer that takes as long as its client: whoever took something in that time goes on.
STEADY_SECONDS: Final = 60.0
# By which the application says so, in the request's state.
STEADY: Final = "hub.steady"


class BoundedHttp(HttpToolsProtocol):
    """Cuts off who sends endless headers, or none, and who does not read what is sent: each would
    cost memory until the end.

    The h11 implementation bounds the size too, for a fifth of the requests per second.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._head_arrived()
        self._read_again()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes while a head is incomplete, but for the piece that began it."""
        waiting = self._deadline
        super().data_received(data)
        if waiting is not None and waiting is self._deadline:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._cut()

    def on_message_begin(self) -> None:
        """Expect the rest of this head."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_arrived()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Another protocol speaks from here on; without its cycle this one is freed at once."""
        super().handle_websocket_upgrade()
        del self.parser

    def pause_writing(self) -> None:
        """The client does not read; it has a while to do so."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """The client reads."""
        self._read_again()
        super().resume_writing()

    def shutdown(self) -> None:
        """Have the application end what would never end by itself."""
        if drain := self.app_state.get("drain"):
            drain()
        super().shutdown()

    def _expect_head(self) -> None:
        self._head_arrived()
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._cut)

    def _head_arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_reader(self) -> None:
        self._read_again()
        seconds = STEADY_SECONDS if self._is_steady() else READ_SECONDS
        self._stalled = self.loop.call_later(seconds, self._check_reader, self._unread())

    def _check_reader(self, before: int) -> None:
        if self._is_steady() and self._unread() < before:
            self._expect_reader()
        else:
            self._cut()

    def _is_steady(self) -> bool:
        scope: Any = self.scope  # none before the first request
        return bool(scope and scope["state"].get(STEADY))

    def _unread(self) -> int:
        """Bytes that the other side has not taken yet, here and in the kernel."""
        waiting = self.transport.get_write_buffer_size()
        with suppress(OSError):  # where the kernel does not say
            socket = self.transport.get_extra_info("socket").fileno()
            waiting += struct.unpack("i", fcntl.ioctl(socket, termios.TIOCOUTQ, b"\0" * 4))[0]
        return waiting

    def _read_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut(self) -> None:
        self._head_arrived()
        self.transport.abort()
