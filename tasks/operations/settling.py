"""A worker's ended runs on their way into the database: many in one transaction.

Whatever ends while a transaction runs is in the next one, so that an idle worker waits for nothing
and a busy one pays for a transaction once in a hundred runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError

from kernel import loop
from tasks.operations import endings
from tasks.operations.endings import Settlement

log = structlog.get_logger(__name__)
BATCH: Final = 100
AGAIN_SECONDS: Final = 1.0


class Settling:
    """Lives on the process's event loop; nothing here is thread-safe but `len`."""

    def __init__(self, lease: timedelta, now: Callable[[], datetime]) -> None:
        self._patience = lease.total_seconds()
        self._now = now
        self._waiting: list[Settlement] = []
        self._current: list[Settlement] = []
        self.is_running = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._current)

    def held(self) -> list[tuple[UUID, int]]:
        """Task and fencing token of what is not written yet: their leases must last till then."""
        return [
            (each.claim.task_id, each.claim.fencing_token)
            for each in (*self._waiting, *self._current)
        ]

    def add(self, settlement: Settlement) -> None:
        """Let `run` write it."""
        self._waiting.append(settlement)

    async def run(self) -> AsyncIterator[None]:
        """Write until nothing waits; yields after each batch, when there are slots again."""
        self.is_running = True
        try:
            while self._waiting:
                self._current, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                until = asyncio.get_running_loop().time() + self._patience
                try:
                    await self._write(self._current, until)
                finally:
                    self._current = []
                yield
        finally:
            self.is_running = False

    async def _write(self, batch: Sequence[Settlement], until: float) -> None:
        try:
            await self._patiently(batch, until)
        except Exception:
            log.exception("tasks.settle.broke", runs=len(batch))
            if len(batch) == 1:
                return  # its lease lapses, and the next attempt goes on from the journal
            # One that cannot be written must not take the others along.
            for settlement in batch:
                await self._write([settlement], until)

    async def _patiently(self, batch: Sequence[Settlement], until: float) -> None:
        """Try again while the database is away: the answers are paid for, and still ours."""
        clock_of_loop = asyncio.get_running_loop().time
        while True:
            try:
                settled = await loop.get().in_database(
                    endings.settle_attempts, settlements=batch, now=self._now()
                )
            except (OperationalError, InterfaceError) as error:
                if clock_of_loop() > until:
                    raise
                log.warning("tasks.settle.waits", error=type(error).__name__, runs=len(batch))
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                _report(batch, settled)
                return


def _report(batch: Sequence[Settlement], settled: Collection[UUID]) -> None:
    for each in batch:
        if each.claim.attempt_id not in settled:
            log.info(
                "tasks.run.lease_lost",
                task_id=str(each.claim.task_id),
                attempt_id=str(each.claim.attempt_id),
            )
