"""A server on loopback that takes connections and then has all the time in the world."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
# Each comes to an end: only a deadline cuts it.
PAUSE_SECONDS = 0.2
PIECES = 20


class Slow:
    """How it answers, and who is connected."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.body = b'{"a": 1}'
        self.port = 0
        self.accepted = 0
        self.open = 0
        # Who stayed until the end of the answer.
        self.finished = 0
        # Most that were open at once.
        self.peak = 0
        self.released = threading.Event()
        self.changed = threading.Condition()

    @property
    def issuer(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, count: int) -> None:
        """Until just `count` connections are open."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.open == count, 20)

    def count(self, step: int) -> None:
        """One more, or one less."""
        with self.changed:
            self.accepted += step > 0
            self.open += step
            self.peak = max(self.peak, self.open)
            self.changed.notify_all()


class _Session(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        """Answer in the manner that was asked for."""
        slow: Slow = self.server.slow
        slow.count(1)
        with suppress(OSError):
            getattr(self, f"_{slow.manner}")(slow)
            slow.finished += 1
        slow.count(-1)

    def _silent(self, slow: Slow) -> None:
        """Says nothing until it is released; hears when the other side hangs up."""
        self.request.settimeout(0.02)
        while not slow.released.is_set():
            with suppress(TimeoutError):
                if not self.request.recv(65_536):
                    raise ConnectionError
        self.request.sendall(HEAD + b"connection: close\r\n\r\n" + slow.body)

    def _headers(self, slow: Slow) -> None:
        """One byte of a header at a time."""
        self.request.sendall(HEAD + b"x-padding: ")
        self._drip(slow, b"x")
        self.request.sendall(b"\r\nconnection: close\r\n\r\n" + slow.body)

    def _body(self, slow: Slow) -> None:
        """One byte of the body at a time, without an end."""
        self.request.sendall(HEAD + b"\r\n")
        self._drip(slow, b" ")
        self.request.sendall(slow.body)

    def _empty_chunks(self, slow: Slow) -> None:
        """A body of which nothing is ever there to be looked at."""
        self.request.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        self._drip(slow, b"0")
        self.request.sendall(b"\r\n\r\n")

    def _handshake(self, slow: Slow) -> None:
        """A TLS record that comes byte by byte."""
        self.request.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        self._drip(slow, b"\x03")

    def _drip(self, slow: Slow, byte: bytes) -> None:
        for _ in range(PIECES):
            self.request.sendall(byte)
            time.sleep(PAUSE_SECONDS)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    slow: Slow


@contextmanager
def slow_server(manner: str) -> Iterator[Slow]:
    """Serve until the block ends; `manner`: one of the session's."""
    server = _Server(("127.0.0.1", 0), _Session)
    server.slow = Slow(manner)
    server.slow.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.slow
    finally:
        server.slow.released.set()
        server.shutdown()
        server.server_close()
