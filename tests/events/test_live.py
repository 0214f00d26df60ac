"""What is sent live: the first message at once, those behind it together and in order."""

from collections.abc import Iterable
from queue import Queue
from threading import Event

import pytest

from events.clients import channel, live


def test_messages_behind_one_that_goes_out_leave_in_one_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: Queue[list[bytes]] = Queue()
    pausing, over = Event(), Event()

    def publish(messages: Iterable[bytes]) -> None:
        batches.put(list(messages))

    def pause(_seconds: float) -> None:
        pausing.set()
        over.wait(20)

    monkeypatch.setattr(channel, "publish", publish)
    monkeypatch.setattr(live, "sleep", pause)
    sender = live.Sender()

    sender.send(b"first")
    assert pausing.wait(20)
    sender.send(b"second")
    sender.send(b"third")
    over.set()

    assert batches.get(timeout=20) == [b"first"]
    assert batches.get(timeout=20) == [b"second", b"third"]
