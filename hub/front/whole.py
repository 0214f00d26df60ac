"""Whole requests in, whole answers out: a slow client costs memory here, never one of Django's
threads. Twelve connections that each hold back one byte would otherwise stop the hub."""

import asyncio
import secrets
from typing import Final

from starlette.types import Receive, Scope, Send

from hub.front.threads import Answer, Threads
from kernel.errors import DomainError
from kernel.http import problems

LIMIT: Final = 10 * 1024 * 1024
IDLE_SECONDS: Final = 15.0  # between two pieces of a body
BODY_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 300.0


class TooLarge(DomainError):
    """The body is over the limit."""

    code = "request.too_large"
    status = 413
    message = "The body is over 10 MB. Send less."


class TooSlow(DomainError):
    """The body did not come whole in time."""

    code = "request.timeout"
    status = 408
    message = "The body did not arrive in time. Send it again."


class Gone(Exception):
    """The client left before its request was whole."""


class WholeMessages:
    """Puts Django, which holds a thread per request, behind buffers for body and answer."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, let Django answer, write."""
        answer = await self.ask(scope, receive, send)
        if answer is not None:
            await write(send, answer)

    async def ask(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Django's answer to a request; None for one that did not come whole, which is refused."""
        try:
            body = await _read(receive, declared=_declared(scope))
        except TooLarge as refusal:
            await _refuse(send, refusal)
        except TimeoutError:
            await _refuse(send, TooSlow())
        except Gone:
            return None
        else:
            return await self._threads.answer(scope, body)
        return None


async def _read(receive: Receive, *, declared: int) -> bytes:
    if declared > LIMIT:
        raise TooLarge
    now = asyncio.get_running_loop().time
    deadline = now() + BODY_SECONDS
    pieces: list[bytes] = []
    size = 0
    while True:
        async with asyncio.timeout_at(min(deadline, now() + IDLE_SECONDS)):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LIMIT:
            raise TooLarge
        if not message.get("more_body", False):
            return b"".join(pieces)


async def write(send: Send, answer: Answer) -> None:
    """Send a whole answer, to whoever takes it in time."""
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})
    except TimeoutError:
        return  # the server closes the connection of an answer that was not read


def _declared(scope: Scope) -> int:
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(value) if value.isdigit() else 0


async def _refuse(send: Send, refusal: DomainError) -> None:
    status, headers, body = problems.render(refusal, request_id=secrets.token_hex(16))
    written = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    # What the client still sends is not read: the connection cannot be used again.
    written.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": written})
    await send({"type": "http.response.body", "body": body})
