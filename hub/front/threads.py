"""Django, which speaks WSGI and blocks, on a few threads beside the event loop.

Request and answer are whole bytes here (`hub.front.whole`), so that each request costs one way to
a thread and one back. A bridge that streams (a2wsgi) took one per piece and waited for each.
"""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from starlette.types import Scope

from runs.operations.waiting import Ticket

ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
Headers = list[tuple[bytes, bytes]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(slots=True)
class Answer:
    """What the application answered."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    # Of a direct run that was begun: whoever has it answers when the run has ended.
    ticket: Ticket | None = None


class Threads:
    """`application` on as many threads as it may answer requests at once."""

    def __init__(self, application: Application, *, count: int) -> None:
        self._application = application
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="django")

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """What the application says to a request with this body."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, scope, body)

    def _call(self, scope: Scope, body: bytes) -> Answer:
        answer = Answer()

        def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            answer.status = int(status[:3])
            answer.headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ]

        pieces = self._application(environ(scope, body), start)
        answer.ticket = getattr(pieces, "ticket", None)
        try:
            answer.body = b"".join(pieces)
        finally:
            if close := getattr(pieces, "close", None):
                close()
        return answer


def _ascii(query: bytes) -> str:
    """A query as WSGI takes it."""
    return query.decode() if query.isascii() else quote(query, safe=ASCII)


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The request as PEP 3333 has it."""
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    found: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": _ascii(scope["query_string"]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        # In an environment `X_Forwarded_Proto` could not be told from the header that proxies set.
        if b"_" in name or name in {b"content-length", b"transfer-encoding"}:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        # RFC 6265: of cookies alone, several lines are joined by semicolons.
        joint = "; " if name == b"cookie" else ","
        found[key] = f"{found[key]}{joint}{text}" if key in found else text
    if body:
        found["CONTENT_LENGTH"] = str(len(body))
    return found
