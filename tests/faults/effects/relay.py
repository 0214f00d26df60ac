"""A relay that stops where a test wants to kill it: before it publishes, or after."""

import threading
from collections.abc import Iterable
from typing import Final

from events.clients import channel
from tests.faults.effects import holds

HOLD: Final = "hold-relay"
HELD: Final = "relay-held"
_publish: Final = channel.publish


def install() -> None:
    """Put the pause around `events.clients.channel.publish`."""
    channel.publish = publish


def publish(messages: Iterable[bytes]) -> None:
    """As the channel's own, with the pause, which says how much is published; live events pass."""
    if threading.current_thread().name == "events-live":
        return _publish(messages)
    when = holds.wish(HOLD)
    batch = list(messages)
    if when == "before":
        holds.wait(HOLD, HELD, 0)
    _publish(batch)
    if when == "after":
        holds.wait(HOLD, HELD, len(batch))
    return None
