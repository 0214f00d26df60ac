"""The process's one Redis subscription. The outbox table fills whatever Redis did not bring."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.db import Error as DatabaseError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from events import selectors
from events.clients import channel
from events.clients.channel import Envelope
from hub.front import database
from kernel import redis_client, tenancy

log = structlog.get_logger(__name__)
BATCH: Final = 500
# With Redis silent for that long, look into the table: the silence may be a dead connection.
SILENCE_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0
# What is written in one turn of the event loop leaves together, in one system call a socket.
EVENTS_A_TURN: Final = 8


class Listener:
    """Hands each event to `deliver`, stored ones once and in the order of their sequence."""

    def __init__(self, deliver: Callable[[Envelope], None]) -> None:
        self._deliver = deliver
        self._last: int | None = None
        self._lost = False
        self._gap_left_open = False
        self._handed_on = 0

    async def run(self) -> None:
        """Until cancelled: listen, and connect again whenever Redis is lost."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if not self._lost:
                    log.warning("hub.front.redis_lost", error=type(error).__name__)
                self._lost = True
            await self._catch_up()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with redis_client.async_client() as client, client.pubsub() as subscription:
            # Its own retries would sleep; `run` looks into the table meanwhile.
            client.set_retry(Retry(NoBackoff(), 0))
            await subscription.subscribe(channel.CHANNEL)
            while True:
                message = await subscription.get_message(timeout=SILENCE_SECONDS)
                # Redis confirms each (re)connection: what came before it is in the table only.
                if message is None or message["type"] == "subscribe":
                    self._lost = self._lost and message is None
                    await self._catch_up()
                elif message["type"] == "message":
                    await self._receive(message["data"])

    async def _receive(self, message: Any) -> None:
        try:
            event = channel.decode(message)
        except ValueError:
            log.warning("hub.front.not_an_event", size=len(message))
            return
        if event.sequence is None:
            await self._hand_on(event)
        elif self._last is None or event.sequence > self._last + 1:
            await self._catch_up()
        elif event.sequence == self._last + 1:
            self._last = event.sequence
            await self._hand_on(event)

    async def _catch_up(self) -> None:
        """Deliver from the table what is newer than the last; a first call only finds the end.

        A database that does not answer leaves the gap open for the next call.
        """
        try:
            with tenancy.platform():
                if self._last is None:
                    self._last = await database.ask(selectors.get_last_sequence)
                while await self._read_batch(self._last) == BATCH:
                    pass
            self._gap_left_open = False
        except DatabaseError as error:
            if not self._gap_left_open:
                log.warning("hub.front.gap_not_filled", error=type(error).__name__)
            self._gap_left_open = True

    async def _read_batch(self, last: int) -> int:
        rows = await database.ask(selectors.list_since, sequence=last, limit=BATCH)
        for row in rows:
            self._last = row.sequence
            await self._hand_on(
                Envelope(row.organization_id, row.user_id, row.type, row.data, row.sequence)
            )
        return len(rows)

    async def _hand_on(self, event: Envelope) -> None:
        self._deliver(event)
        self._handed_on += 1
        # The sockets write in between; a burst would otherwise be more than may wait at each.
        if self._handed_on % EVENTS_A_TURN == 0:
            await asyncio.sleep(0)
