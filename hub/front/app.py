"""The ASGI application: `/ws` and streams here, everything else to Django."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from django.conf import settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from events.clients.channel import Envelope
from hub.front.exports import AuditExports
from hub.front.hardening import Hardened
from hub.front.listener import Listener
from hub.front.runs import DirectRuns
from hub.front.sockets import EventSocket
from hub.front.streams import TaskStreams
from hub.front.switchboard import Switchboard
from hub.front.threads import Threads
from hub.front.watches import Watches
from hub.front.whole import WholeMessages
from hub.wsgi import application as django

log = structlog.get_logger(__name__)
RESTART_SECONDS: Final = 1.0
# Requests that Django answers at once. Each may hold a database connection; more threads than
# this only queue at the interpreter's lock.
THREADS: Final = 12
# What begins a direct run; here, because its end is waited for.
RUNS: Final = tuple(
    f"{path}{slash}"
    for path in (
        "/api/v1/agents/{agent_id}/run",
        "/api/v1/agents/{agent_id}/stream",
        "/agents/{agent_name}",
        "/agents/{agent_name}/stream",
    )
    for slash in ("", "/")
)


def create_app() -> Starlette:
    """A new application with its own subscription; start it through its lifespan."""
    board = Switchboard()
    watches = Watches(board)
    streams = TaskStreams(watches)
    exports = AuditExports()
    requests = WholeMessages(Threads(django, count=THREADS))
    runs = DirectRuns(requests, watches)

    def deliver(event: Envelope) -> None:
        board.deliver(event)
        watches.deliver(event)

    def drain() -> None:
        watches.drain()
        exports.drain()

    async def events(websocket: WebSocket) -> None:
        await EventSocket(websocket, board).run()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        chores = [
            asyncio.create_task(_keep_doing(chore))
            for chore in (Listener(deliver).run, board.keep_checking, watches.keep_looking)
        ]
        try:
            # `hub.front.protocol` calls it: a stream that nobody ends would outlast every drain.
            yield {"drain": drain}
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)

    return Starlette(
        routes=[
            WebSocketRoute("/ws", events),
            Route("/api/v1/tasks/{task_id}/stream", streams),
            Route("/api/v1/tasks/{task_id}/stream/", streams),
            Route("/api/v1/audit-events/export", exports),
            Route("/api/v1/audit-events/export/", exports),
            # Here, because it must answer while every thread of Django is busy.
            Route("/healthz", _alive),
            *(Route(path, runs) for path in RUNS),
            Mount("/", app=DjangoApp(requests)),
        ],
        lifespan=lifespan,
        middleware=[Middleware(Hardened, is_https=settings.SESSION_COOKIE_SECURE)],
    )


async def _alive(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _keep_doing(chore: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """One event that breaks the chore must not silence the process for all that follow."""
    while True:
        try:
            await chore()
        except Exception:
            log.exception("hub.front.chore_failed")
            await asyncio.sleep(RESTART_SECONDS)


class DjangoApp:
    """Django on threads."""

    def __init__(self, requests: WholeMessages) -> None:
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; only `/ws` takes sockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        await self._requests(scope, receive, send)
