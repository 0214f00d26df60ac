"""WebSockets as uvicorn speaks them, with a short way for what many get: whole frames.

A message through ASGI is framed for each socket and costs a task's turn: with a thousand sockets
most of the processor. A frame from here is built once and handed to each transport at once.
"""

import asyncio
from typing import Any, Final

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

EXTENSION: Final = "hub.wire"
WAITING_FRAMES: Final = 256
FAREWELL_SECONDS: Final = 12.0
MESSAGE_PIECES: Final = 1000


def text_frame(payload: bytes) -> bytes:
    """`payload` (UTF-8) as one frame, good for every socket: ours negotiate no extensions."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class Wire(WebSocketsSansIOProtocol):
    """One connection; the application finds it in its scope, under `extensions`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: list[bytes] = []
        self._end: asyncio.TimerHandle | None = None

    def send_frame(self, frame: bytes) -> bool:
        """Send a whole frame after all that went before; False if too many wait already.

        What the loop's turn brings leaves together: the system call costs more than all the rest.
        What is sent to a socket that closes or is closed is dropped.
        """
        if len(self._waiting) == WAITING_FRAMES:
            return False
        self._waiting.append(frame)
        if len(self._waiting) == 1:
            self.loop.call_soon(self._write)
        return True

    def drop_frames(self) -> None:
        """Forget what waits, so that a goodbye is next."""
        self._waiting.clear()

    def pause_writing(self) -> None:
        """The client does not read: nor do we, or the answers to its pings pile up here."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._write()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """The next message; reading goes on only while the client reads, too."""
        message = await super().receive()
        if not self.writable.is_set() and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def handle_cont(self, event: Frame) -> None:
        """The next piece of a message; 1009 beyond 1,000, for pieces may be empty."""
        if self.close_sent:
            return
        if len(self.frames) >= MESSAGE_PIECES:
            self.conn.send_close(1009)
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is owed any more."""
        self._waiting.clear()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        """Run the application; who does not take its last bytes in a while is cut off.

        A transport that closes waits for its reader, and pings have ended by then.
        """
        extensions: dict[str, Any] = dict(self.scope["extensions"] or {})
        self.scope["extensions"] = extensions
        extensions[EXTENSION] = self
        await super().run_asgi()
        extensions.clear()  # a cycle would wait for the collector
        if not self.disconnected:
            self._end = self.loop.call_later(FAREWELL_SECONDS, self.transport.abort)

    def _write(self) -> None:
        if not self._waiting or not self.writable.is_set():
            return
        if self.conn.state is OPEN and not self.transport.is_closing():
            self.transport.writelines(self._waiting)
        self._waiting.clear()  # not a new list: a thousand new objects an event wake the collector
