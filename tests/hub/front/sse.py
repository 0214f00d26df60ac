"""A client of streams that reads the wire format by hand."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from accounts.models import User
from tasks.models import Task
from tests.accounts import factories
from tests.hub.front.peer import Front


class Event(NamedTuple):
    """One event; `id` is empty where it has none."""

    name: str
    id: str
    data: Any


class Stream:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.iter_lines()

    def next(self) -> Event | None:
        """The next event; None at the end."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and "event" in fields:
                return Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            if line.startswith(":"):
                self.comments += 1
            name, _, value = line.partition(": ")
            fields[name] = value
        return None

    def take(self, count: int) -> list[Event]:
        """The next `count` events."""
        taken = [self.next() for _ in range(count)]
        return [event for event in taken if event is not None]

    def rest(self) -> list[Event]:
        """All events to the end."""
        return list(iter(self.next, None))

    def until(self, name: str) -> Event:
        """The next event of that name."""
        while (event := self.next()) is not None:
            if event.name == name:
                return event
        raise AssertionError(f"The stream ended without {name}.")


@contextmanager
def watch(
    front: Front, user: User, task: Task, *, after: str = "", token: str = "", slash: str = ""
) -> Iterator[Stream]:
    """The stream of `task`, after the event with the id `after`."""
    headers = {"Authorization": f"Bearer {token or factories.make_token(user)}"}
    if after:
        headers["Last-Event-ID"] = after
    url = f"http://127.0.0.1:{front.port}/api/v1/tasks/{task.pk}/stream{slash}"
    with (
        httpx.Client(timeout=10, trust_env=False) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        assert response.status_code == 200
        yield Stream(response)


def read(front: Front, user: User, task: Task, *, after: str = "") -> list[Event]:
    """The whole stream of a task that has ended."""
    with watch(front, user, task, after=after) as stream:
        return stream.rest()


def durable(events: list[Event]) -> list[Event]:
    """Those that are repeated to whoever comes back."""
    return [event for event in events if event.id]


def wait_until(condition: Callable[[], bool]) -> None:
    """Look every hundredth of a second, for ten seconds."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not come to that within ten seconds.")
