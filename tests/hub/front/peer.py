"""The front in this process, and clients of its `/ws`."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from starlette.routing import Route
from uvicorn import Server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts.models import User
from hub.front import server
from hub.front.app import create_app
from hub.front.streams import TaskStreams
from hub.front.watches import Watches
from tests.accounts import factories


class Front:
    """A running front; `url` is its WebSocket's, `watches` are its streams if it runs here."""

    def __init__(self, port: int, watches: Watches | None = None) -> None:
        self.port = port
        self.watches = watches
        self.url = f"ws://127.0.0.1:{port}/ws"

    @contextmanager
    def connect(self, query: str = "", **options: Any) -> Iterator["Client"]:
        """A socket that has said nothing yet."""
        with connect(self.url + query, proxy=None, close_timeout=1, **options) as connection:
            yield Client(connection)

    @contextmanager
    def client(self, user: User, *patterns: str) -> Iterator["Client"]:
        """An authenticated socket of `user` that is subscribed to `patterns`."""
        token = factories.make_token(user)
        with self.connect() as client:
            assert client.ask(type="auth", token=token)[0] == "authenticated"
            for pattern in patterns:
                client.subscribe(pattern)
            yield client


class Client:
    """One socket that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.connection.send(json.dumps(message))

    def hear(self) -> tuple[str, Any]:
        """The next message: its type and its data."""
        message = json.loads(self.connection.recv(timeout=10))
        return message["type"], message.get("data")

    def ask(self, **message: Any) -> tuple[str, Any]:
        """Send a message and hear the next one."""
        self.say(**message)
        return self.hear()

    def subscribe(self, pattern: str) -> None:
        """Subscribe, and see it confirmed."""
        assert self.ask(type="subscribe", event=pattern) == ("subscribed", {"event": pattern})

    def numbers(self, count: int) -> list[int]:
        """The `number`s of the next events."""
        return [self.hear()[1]["number"] for _ in range(count)]

    def close_code(self) -> int | None:
        """The code with which the other side closes, whatever it says before."""
        try:
            while True:
                self.connection.recv(timeout=10)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


@contextmanager
def running() -> Iterator[Front]:
    """A front that serves from a thread until the block ends."""
    # Its threads outlive it; their database connections must not.
    kept = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = 0
    listening = server.bind(host="127.0.0.1", port=0)
    app = create_app()
    (watches,) = {
        route.app._watches
        for route in app.routes
        if isinstance(route, Route) and isinstance(route.app, TaskStreams)
    }
    front = Front(listening.getsockname()[1], watches)
    uvicorn = Server(server.configure(app, drain_seconds=3))
    thread = threading.Thread(target=uvicorn.run, args=([listening],))
    thread.start()
    try:
        _wait(front.port)
        yield front
    finally:
        connections.settings["default"]["CONN_MAX_AGE"] = kept
        uvicorn.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def _wait(port: int) -> None:
    # The socket listens before the application runs; its first answer means that it does.
    with socket.create_connection(("127.0.0.1", port), timeout=10) as probe:
        probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert probe.recv(12) == b"HTTP/1.1 200"
