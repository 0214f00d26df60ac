"""Somebody who uses the API while it is being broken."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from tests.faults.scene import Scene
from tests.journeys import hubs

PAUSE_SECONDS: Final = 0.05
GONE: Final = 0  # instead of a status: the connection was refused or broke


class Visitor(threading.Thread):
    """Reads a list and posts tasks, each with a key, and repeats a post until it is answered 201.

    `statuses` counts the answers, `slowest` is the longest wait for one, in seconds, `posted` the
    titles that were confirmed.
    """

    def __init__(self, scene: Scene, agent_id: str, name: str) -> None:
        super().__init__(daemon=True)
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self.posted: list[str] = []
        self.bodies: list[Any] = []
        self._name = name
        self._agent_id = agent_id
        self._leaving = threading.Event()
        self._api = scene.client()
        self._api.headers["Authorization"] = scene.api.headers["Authorization"]

    def run(self) -> None:
        """Go on until `leave`, and then until the last post is confirmed."""
        with self._api:
            number = 0
            while not self._leaving.wait(PAUSE_SECONDS):
                self._ask("GET", "/tasks/", params={"limit": 5})
                title = f"{self._name}-{number} calls=0 pause=0"
                body = {"title": title, "agent_id": self._agent_id, "max_retries": 100}
                key = {"Idempotency-Key": f"{self._name}-{number}"}
                while self._ask("POST", "/tasks/", json=body, headers=key) != 201:
                    time.sleep(PAUSE_SECONDS)
                self.posted.append(title)
                number += 1

    def leave(self) -> None:
        """Stop asking."""
        self._leaving.set()
        self.join(hubs.SECONDS)
        assert not self.is_alive()

    def _ask(self, method: str, path: str, **request: Any) -> int:
        began = time.monotonic()
        try:
            answer = self._api.request(method, path, **request)
        except httpx.TransportError:
            status = GONE
        else:
            status = answer.status_code
            if status >= 400:
                self.bodies.append(answer.text)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[status] += 1
        return status


@contextmanager
def visiting(scene: Scene, agent_id: str, name: str) -> Iterator[Visitor]:
    """A visitor for the time of the block."""
    visitor = Visitor(scene, agent_id, name)
    visitor.start()
    try:
        yield visitor
    finally:
        visitor.leave()
