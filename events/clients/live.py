"""Live events leave through one background thread, so that no caller ever waits for Redis."""

import threading
from contextlib import suppress
from queue import Empty, Full, Queue
from time import monotonic, sleep
from typing import Final

import structlog
from redis.exceptions import RedisError

from events.clients import channel

log = structlog.get_logger(__name__)
WAITING: Final = 10_000
BATCH: Final = 500
LOG_EVERY_SECONDS: Final = 60.0
# The first message goes out at once, those behind it together: waking up and asking Redis for each
# would cost a model's turn more than its step does.
PAUSE_SECONDS: Final = 0.02


class Sender:
    """A bounded queue and the thread that empties it into Redis, many messages a round trip."""

    def __init__(self) -> None:
        self._queue: Queue[bytes] = Queue(WAITING)
        self._logged_at = -LOG_EVERY_SECONDS
        threading.Thread(target=self._run, name="events-live", daemon=True).start()

    def send(self, message: bytes) -> None:
        """Queue an encoded envelope; a full queue (Redis is down or slow) drops it."""
        try:
            self._queue.put_nowait(message)
        except Full:
            self._complain("the queue is full")

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(Empty):
                while len(batch) < BATCH:
                    batch.append(self._queue.get_nowait())
            try:
                channel.publish(batch)
            except RedisError as error:
                self._complain(type(error).__name__)
            sleep(PAUSE_SECONDS)

    def _complain(self, reason: str) -> None:
        now = monotonic()
        if now - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = now
            log.warning("events.live.dropped", reason=reason)


_lock = threading.Lock()
_sender: Sender | None = None


def send(message: bytes) -> None:
    """Queue an encoded envelope on the process's sender, which starts with the first one."""
    global _sender  # noqa: PLW0603 - one thread per process keeps the order
    with _lock:
        if _sender is None:
            _sender = Sender()
    _sender.send(message)
