"""A relay that stops where a test wants to kill it.

While the file `hold-relay` is in the folder, it waits before (or, if the file says so, after) it
publishes, and says so with the file `relay-held`.
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
    if when == "before":
        _wait(wanted)
    _publish(messages)
    if when == "after":
        _wait(wanted)
    return None


def _wait(wanted: Path) -> None:
    held = wanted.with_name(HELD)
    held.write_text(str(os.getpid()))
    while wanted.exists():
        time.sleep(0.02)
    held.unlink(missing_ok=True)
