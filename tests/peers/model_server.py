"""The HTTP side of a peer that plays a model provider; a dialect gives the wire format."""

import json
import re
import select
import threading
import time
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self

from tests.peers.script import Answer, Broken, Endless, Hang, Raw, Refusal, Respond, Step, step_from

KEY = "sk-peer-0123456789"
BLANK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class Dialect(ABC):
    """How one provider writes."""

    @abstractmethod
    def key(self, headers: Mapping[str, str]) -> str:
        """The caller's key."""

    @abstractmethod
    def is_streamed(self, received: Received) -> bool:
        """Whether the caller asked for a stream."""

    @abstractmethod
    def begin(self, received: Received) -> Iterable[str]:
        """The first events."""

    @abstractmethod
    def words(self, text: str) -> str:
        """The event that carries a piece of text."""

    @abstractmethod
    def end(self, answer: Answer) -> Iterable[str]:
        """Tool calls, the reason for the end, and the usage."""

    @abstractmethod
    def whole(self, received: Received, answer: Answer) -> Mapping[str, Any]:
        """The same without streaming."""

    @abstractmethod
    def error(self, refusal: Refusal, message: str) -> Mapping[str, Any]:
        """The body of an error."""

    @abstractmethod
    def default(self, body: Mapping[str, Any]) -> Step:
        """Without a script: call the first tool once, then answer."""


class ModelPeer:
    """A server on a free port; use it as a context manager.

    `script` steps are taken in turn, the last one for ever; a function decides for each body.
    `requests` holds what came in, `disconnects` counts clients that left before the end.
    """

    def __init__(
        self, dialect: Dialect, *script: Step, respond: Respond | None = None, port: int = 0
    ):
        self.dialect = dialect
        self.requests: list[Received] = []
        self.connections = 0
        self.disconnects = 0
        self.disconnected = threading.Event()
        self.received = threading.Event()
        self.stopping = threading.Event()
        self._script = deque(script)
        self._respond = respond or dialect.default
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever(0.2)

    def follow(self, *script: Step) -> None:
        """Replace the script."""
        with self._lock:
            self._script = deque(script)

    def next_step(self, received: Received) -> Step:
        with self._lock:
            self.requests.append(received)
            self.received.set()
            if not self._script:
                return self._respond(received.body)
            return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def note_disconnect(self) -> None:
        with self._lock:
            self.disconnects += 1
        self.disconnected.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _handler(peer: ModelPeer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.peer = peer
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    peer: ModelPeer

    def setup(self) -> None:
        self.peer.connections += 1
        super().setup()

    def do_GET(self) -> None:
        """The requests so far, for a journey in another process."""
        self._send(200, [{"path": r.path, "body": r.body} for r in self.peer.requests])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path == "/script":
            self.peer.follow(*(step_from(step) for step in body))
            return self._send(200, {})
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, body)
        step = self.peer.next_step(received)
        if self.peer.dialect.key(headers) != KEY:
            step = Refusal(status=401)
        return self._play(step, received)

    def log_message(self, *_arguments: object) -> None:
        """Quiet: the tests read `requests`."""

    def _play(self, step: Step, received: Received) -> None:
        dialect = self.peer.dialect
        match step:
            case Refusal():
                message = f"Incorrect API key provided: {dialect.key(received.headers)}."
                self._send(step.status, dialect.error(step, message), step.headers)
            case Raw():
                wire = {
                    "content-type": step.content_type,
                    "content-encoding": step.content_encoding,
                }
                self._send_bytes(200, step.body, wire)
            case Hang():
                self._wait_for_disconnect()
            case Answer() if not dialect.is_streamed(received):
                self._send(200, dialect.whole(received, step))
            case _:
                self._stream(step, received)

    def _stream(self, step: Answer | Broken | Endless, received: Received) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in self._events(step, received):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event.encode()), event.encode()))
            if isinstance(step, Broken) and not step.clean:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            self.peer.note_disconnect()

    def _events(self, step: Answer | Broken | Endless, received: Received) -> Iterator[str]:
        dialect = self.peer.dialect
        yield from dialect.begin(received)
        match step:
            case Endless():
                for number in count():
                    yield dialect.words(f"word{number} ")
                    time.sleep(step.pause_seconds)
            case Broken():
                yield dialect.words(step.text)
            case Answer():
                for word in re.findall(r"\S+\s*|\s+", step.text):
                    yield dialect.words(word)
                    while step.go_on and not step.go_on.wait(BLANK_SECONDS):
                        yield dialect.words(" ")
                    time.sleep(step.pause_seconds)
                yield from dialect.end(step)

    def _wait_for_disconnect(self) -> None:
        self.close_connection = True
        while not self.peer.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1):
                self.peer.note_disconnect()
                return

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        wire = {"content-type": "application/json", **(headers or {})}
        self._send_bytes(status, json.dumps(body).encode(), wire)

    def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def event(data: Mapping[str, Any], name: str = "") -> str:
    """One server-sent event."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


def main(dialect: Dialect) -> None:
    """Serve from the command line; prints the URL, and takes POST /script and GET /requests."""
    parser = ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--step", action="append", default=[], help="a name in script.STEPS")
    options = parser.parse_args()
    peer = ModelPeer(dialect, *map(step_from, options.step), port=options.port)
    print(peer.url, flush=True)
    peer.serve()
