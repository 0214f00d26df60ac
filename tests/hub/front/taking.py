"""Clients of the export: some read, some do not."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from accounts.models import User
from audit import export_verifier
from audit.selectors import checkpoints
from tests.accounts import factories
from tests.hub.front.peer import Front

PATH = "/api/v1/audit-events/export"
ROWS = 40
TEXT = "x" * 200_000  # so that the buffers between hub and client do not hold an export


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {factories.make_token(user)}"}


def ask(
    front: Front, headers: dict[str, str], *, method: str = "GET", slash: str = "", **query: str
) -> httpx.Response:
    url = f"http://127.0.0.1:{front.port}{PATH}{slash}"
    return httpx.request(method, url, headers=headers, params=query, timeout=60, trust_env=False)


def check(content: bytes) -> export_verifier.Report:
    keys = [checkpoints.current_key().raw]
    return export_verifier.verify(content.splitlines(keepends=True), keys=keys)


def resources(content: bytes) -> list[str]:
    documents = [json.loads(line) for line in content.splitlines()]
    return [d["event"]["resource_id"] for d in documents if d["type"] == "event"]


@contextmanager
def stalled(front: Front, headers: dict[str, str]) -> Iterator[socket.socket]:
    """A client that asked, and reads nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", front.port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Connection: close\r\n\r\n"
        client.sendall(request.encode())
        yield client


def rest_of(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return b"".join(chunks(body))


def chunks(body: bytes) -> Iterator[bytes]:
    """The pieces of a body in chunked coding; it must have its end."""
    while body != b"0\r\n\r\n":
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        body = rest[length:].removeprefix(b"\r\n")
