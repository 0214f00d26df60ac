"""A small HTTP service on loopback: what it answers is put in, what it was asked is kept."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One answer; a body that is no bytes is sent as JSON, after `seconds`."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Service:
    """Answers by method and path, without the query."""

    port: int = 0
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, method: str, path: str, body: Any = None, **how: Any) -> None:
        """What it answers from now on."""
        self.answers[method, path] = Answer(body, **how)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def _answer(self) -> None:
        service: Service = self.server.service
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(raw) if "json" in headers.get("content-type", "") else raw.decode()
        service.asked.append(Asked(self.command, self.path, headers, body))
        missing = Answer({"error": "nothing here"}, status=404)
        found = service.answers.get((self.command, self.path.partition("?")[0]), missing)
        time.sleep(found.seconds)
        is_raw = isinstance(found.body, bytes)
        content = found.body if is_raw else json.dumps(found.body).encode()
        self.send_response(found.status)
        kind = {} if is_raw else {"content-type": "application/json"}
        for name, value in {**kind, "content-length": str(len(content)), **found.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Any:
        """`do_GET` and the others."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    service: Service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


@contextmanager
def tool_service() -> Iterator[Service]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.service = Service(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.service
    finally:
        server.shutdown()
        server.server_close()
