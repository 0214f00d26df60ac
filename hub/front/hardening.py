"""The headers that tell browsers what an answer is not: for every answer, whoever gives it."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The console's library evaluates attributes and writes styles and scripts into its pages.
PAGE: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
DATA: Final = "default-src 'none'; frame-ancestors 'none'"
TRANSPORT: Final = "max-age=31536000"


class Hardened:
    """ASGI middleware around the whole application; what an answer sets itself stays."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._is_https = is_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add to the answer's beginning."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._harden(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, send_hardened)

    def _harden(self, headers: MutableHeaders) -> None:
        is_page = headers.get("content-type", "").startswith("text/html")
        headers.setdefault("x-content-type-options", "nosniff")
        headers.setdefault("content-security-policy", PAGE if is_page else DATA)
        if headers.get("content-type", "").startswith(("application/json", "application/problem")):
            headers.setdefault("cache-control", "no-store")  # it may be somebody's own
        if self._is_https:
            headers.setdefault("strict-transport-security", TRANSPORT)
