"""A relay that stops where a test wants to kill it.

While the file `hold-relay` is in the folder, it waits before (or, if the file says so, after) it
publishes, and says so with the file `relay-held`: its process, and how much of this is published.
"""

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from events.clients import channel
from tests.faults.effects.tool import FOLDER

HOLD: Final = "hold-relay"
HELD: Final = "relay-held"
_publish: Final = channel.publish


def install() -> None:
    """Put the pause around `events.clients.channel.publish`."""
    channel.publish = publish


def publish(messages: Iterable[bytes]) -> None:
    """As the channel's own, with the pause; live events pass."""
    if threading.current_thread().name == "events-live":
        return _publish(messages)
    wanted = Path(os.environ[FOLDER]) / HOLD
    when = wanted.read_text() if wanted.exists() else ""
    batch = list(messages)
    if when == "before":
        _wait(wanted, published=0)
    _publish(batch)
    if when == "after":
        _wait(wanted, published=len(batch))
    return None


def _wait(wanted: Path, *, published: int) -> None:
    held = wanted.with_name(HELD)
    noted = held.with_suffix(".new")
    noted.write_text(f"{os.getpid()} {published}")
    noted.rename(held)  # whoever sees the file reads all of it
    while wanted.exists():
        time.sleep(0.02)
    held.unlink(missing_ok=True)
