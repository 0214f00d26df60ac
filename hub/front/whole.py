"""Whole requests in, whole answers out: a slow client costs memory here, never one of Django's
threads. Twelve connections that each hold back one byte would otherwise stop the hub."""

import asyncio
import secrets
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    """Puts `app` (which blocks a thread per request) behind buffers for body and answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, let the app answer, write."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive, declared=_declared(scope))
        except TooLarge as refusal:
            await _refuse(send, refusal)
        except TimeoutError:
            await _refuse(send, TooSlow())
        except Gone:
            return
        else:
            await self._answer(_with_length(scope, len(body)), body, receive, send)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            waiting.put_nowait(message)

        async def write() -> None:
            while (message := await waiting.get()) is not None:
                await send(message)

        writer = asyncio.create_task(write())
        try:
            await self._app(scope, replay, keep)
            waiting.put_nowait(None)
            async with asyncio.timeout(ANSWER_SECONDS):
                await writer
        except TimeoutError:
            return  # the server closes the connection of an answer that never ended
        finally:
            writer.cancel()


async def _read(receive: Receive, *, declared: int) -> bytes:
    if declared > LIMIT:
        raise TooLarge
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await asyncio.wait_for(receive(), IDLE_SECONDS)
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LIMIT:
            raise TooLarge
        if not message.get("more_body", False):
            return b"".join(pieces)


def _declared(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


def _with_length(scope: Scope, length: int) -> Scope:
    """The scope of a body that came whole: chunks have a length now, or Django reads none."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in {b"content-length", b"transfer-encoding"}
    ]
    if length:
        kept.append((b"content-length", str(length).encode()))
    return {**scope, "headers": kept}


async def _refuse(send: Send, refusal: DomainError) -> None:
    status, headers, body = problems.render(refusal, request_id=secrets.token_hex(16))
    written = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    # What the client still sends is not read: the connection cannot be used again.
    written.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": written})
    await send({"type": "http.response.body", "body": body})
