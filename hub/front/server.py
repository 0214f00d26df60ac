"""The HTTP and WebSocket server around the application: limits, pings, a drain with an end.

uvicorn and not granian: docs/decisions/0003-web-front.md.
"""

import logging
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from hub.front.protocol import BoundedHttp
from hub.front.wire import Wire

APPLICATION: Final = "hub.asgi:app"
BACKLOG: Final = 1024
WEBSOCKET_MESSAGE_BYTES: Final = 64 * 1024
PING_SECONDS: Final = 20.0
KEEP_ALIVE_SECONDS: Final = 15


def bind(*, host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError when the address is taken, foreign or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def serve(listening: socket.socket, *, workers: int, drain_seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, then for up to `drain_seconds` finish what has begun.

    Sockets are closed with 1012. What is not done by then is cut off.
    """
    # On these loggers INFO and DEBUG lines carry query strings, and with them tokens.
    for name in ("uvicorn", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    config = configure(APPLICATION, workers=workers, drain_seconds=drain_seconds)
    if workers > 1:
        WebProcesses(config, [listening], drain_seconds=drain_seconds).run()
    else:
        WebProcess(config, drain_seconds=drain_seconds).run([listening])


def configure(application: ASGIApp | str, *, workers: int = 1, drain_seconds: float) -> Config:
    """How `application` (or the module path of one) is served."""
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": BoundedHttp,
        "ws": Wire,
        "lifespan": "on",
        "ws_max_size": WEBSOCKET_MESSAGE_BYTES,
        "ws_ping_interval": PING_SECONDS,
        "ws_ping_timeout": PING_SECONDS,
        # Compression costs a window of memory per socket and hides sizes from the limit.
        "ws_per_message_deflate": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        # A second less than the drain: cut requests still get their answer.
        "timeout_graceful_shutdown": max(1, int(drain_seconds) - 1),
        # Whom to believe about the client's address is the operator's word, not a default.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "log_level": "warning",
    }
    return Config(application, workers=workers, **options)


class WebProcess(Server):
    """One process; a thread of Django's that hangs cannot keep it alive past the drain."""

    def __init__(self, config: Config, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; a signal is the normal end, so the exit code stays 0."""
        # uvicorn raises the signal again at the end; the default handler would then kill us.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)
        super().run(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, and have the end of it guaranteed."""
        end = threading.Timer(self._drain_seconds, os._exit, [0])
        end.daemon = True
        end.start()
        super().handle_exit(sig, frame)


class WebProcesses(Multiprocess):
    """Several processes on one socket, each drained in the same way."""

    def __init__(
        self, config: Config, sockets: list[socket.socket], *, drain_seconds: float
    ) -> None:
        super().__init__(config, sockets)
        self._drain_seconds = drain_seconds

    def join_all(self) -> None:
        """Wait for every process, but no longer than the drain takes."""
        deadline = time.monotonic() + self._drain_seconds
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.process.is_alive():
                process.kill()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass
