"""A worker process's runs: claimed and ended in batches, on one event loop, leases kept at once."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error

from agents.errors import RunWithoutLease
from agents.models import AgentExecution, AgentVersion
from agents.runtime.spec import FailureKind, RunFailure, RunResult, Usage
from kernel import clock, loop, tenancy
from tasks.errors import LeaseLost
from tasks.operations import claims, endings
from tasks.operations.claims import Claim
from tasks.operations.settling import Settling

log = structlog.get_logger(__name__)
CLAIM_BATCH: Final = 100
WATCH_SECONDS: Final = 0.5


class RunAgent(Protocol):
    """`agents.operations.run_agent.run`, given from outside because only workers load it."""

    async def __call__(
        self, *, execution: AgentExecution, version: AgentVersion, deadline: datetime | None
    ) -> RunResult:
        """Run to the end."""


class NotAWorker(RuntimeError):
    """A claim was asked for in a process that cannot run agents."""


class Runner:
    """Claims for one process and drives what it claimed. Thread-safe."""

    def __init__(self, run_agent: RunAgent) -> None:
        self._run_agent = run_agent
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._capacity: int = settings.HUB_WORKER_RUNS
        self._lease: timedelta = settings.HUB_LEASE
        self._claiming = threading.Lock()
        self._is_asked = False
        self._runs: dict[UUID, tuple[Claim, asyncio.Task[None]]] = {}
        self._promised = 0  # claimed, but not on the loop yet
        self._counting = threading.Lock()
        self._settling = Settling(self._lease, clock.now)
        self._stopping = False
        self._watching = False

    def hear(self, *, now: Callable[[], datetime]) -> int:
        """Answer the doorbell: claim until nothing is left or every slot is taken.

        `now` is asked for each batch: a lease must not be old when it begins. Whoever comes while
        another thread claims leaves it to that one.
        """
        claimed = 0
        self._is_asked = True
        while self._is_asked and self._claiming.acquire(blocking=False):
            try:
                self._is_asked = False
                claimed += self._claim(now)
            finally:
                self._claiming.release()
        return claimed

    def _claim(self, now: Callable[[], datetime]) -> int:
        claimed = 0
        while not self._stopping and (free := self._free()) > 0:
            asked = min(free, CLAIM_BATCH)
            with tenancy.platform():
                batch = claims.claim_tasks(
                    worker=self.name, limit=asked, lease=self._lease, now=now()
                )
            if batch:
                claimed += len(batch)
                self._promise(len(batch))
                loop.get().submit(self._begin(batch))
            if len(batch) < asked:
                break
        if claimed and not self._watching:
            self._watching = True
            loop.get().submit(self._watch())
        return claimed

    def stop(self) -> None:
        """Claim nothing more; what runs goes on until the loop is stopped."""
        self._stopping = True

    def _free(self) -> int:
        return self._capacity - len(self._runs) - self._promised - len(self._settling)

    def _promise(self, number: int) -> None:
        with self._counting:  # the claiming thread adds, the loop subtracts
            self._promised += number

    async def _begin(self, batch: Sequence[Claim]) -> None:
        for claim in batch:
            self._runs[claim.attempt_id] = (claim, loop.get().start(self._drive(claim)))
        self._promise(-len(batch))

    async def _drive(self, claim: Claim) -> None:
        try:
            with (
                structlog.contextvars.bound_contextvars(
                    task_id=str(claim.task_id), attempt_id=str(claim.attempt_id)
                ),
                tenancy.organization(claim.organization_id),
            ):
                result = await self._run(claim)
        finally:
            # From here on the watch must not cancel it: what ended looks like what was taken away.
            self._runs.pop(claim.attempt_id, None)
        if result is not None:
            await self._settle(claim, result)

    async def _run(self, claim: Claim) -> RunResult | None:
        try:
            return await self._run_agent(
                execution=claim.execution, version=claim.version, deadline=claim.deadline
            )
        except RunWithoutLease:
            log.info("tasks.run.lease_lost")
            return None
        except asyncio.CancelledError:
            # The lease was lost, or the process stops; in the first case this is refused.
            await asyncio.shield(self._give_back(claim))
            raise
        except Exception:
            log.exception("tasks.run.broke")
            return _broke()

    async def _settle(self, claim: Claim, result: RunResult) -> None:
        self._settling.add(endings.Settlement(claim, result))
        if self._settling.is_running:
            return  # whoever settles now takes this one along in the next round
        with tenancy.platform():  # it writes whatever ended meanwhile
            async for _ in self._settling.run():
                await self._hear_again()

    async def _hear_again(self) -> None:
        """Fill the slots that were freed; an error here must not end the settling of runs."""
        if self._stopping:
            return
        try:
            await loop.get().in_database(self.hear, now=clock.now)
        except Exception:
            log.exception("tasks.claim.broke")  # the next doorbell or sweep claims

    async def _give_back(self, claim: Claim) -> None:
        try:
            await loop.get().in_database(endings.return_attempt, claim=claim, now=clock.now())
        except LeaseLost:
            log.info("tasks.run.lease_lost")
        except Error as error:
            log.warning("tasks.run.not_returned", error=type(error).__name__)

    async def _watch(self) -> None:
        """While anything runs: prolong the leases, and stop what was taken away."""
        renewed = 0.0
        now = asyncio.get_running_loop().time
        every = self._lease.total_seconds() / 3
        while self._runs or self._promised or self._settling or not self._stopping:
            due = now() - renewed >= every
            try:
                with tenancy.platform():
                    await self._check(renew=due)
            except Error as error:
                log.warning("tasks.lease.not_renewed", error=type(error).__name__)
            else:
                renewed = now() if due else renewed
            await asyncio.sleep(WATCH_SECONDS)

    async def _check(self, *, renew: bool) -> None:
        watched = dict(self._runs)
        held = [(claim.task_id, claim.fencing_token) for claim, _ in watched.values()]
        held += self._settling.held() if renew else []
        if not held:
            return
        database = loop.get().in_database
        if renew:
            alive = await database(
                claims.renew_leases, held=held, lease=self._lease, now=clock.now()
            )
        else:
            alive = await database(claims.still_held, held=held)
        for attempt_id, (claim, run) in watched.items():
            if claim.task_id not in alive and attempt_id in self._runs:
                run.cancel()


_runners: Final[list[Runner]] = []


def serve(run_agent: RunAgent) -> Runner:
    """Make this process a worker: its one runner, which `get` returns from now on."""
    _runners[:] = [Runner(run_agent)]
    return _runners[0]


def get() -> Runner:
    """The process's runner; raises NotAWorker where `serve` was not called."""
    if not _runners:
        raise NotAWorker("This process runs no agents. Start workers with `manage.py worker`.")
    return _runners[0]


def _broke() -> RunResult:
    return RunResult(
        status="error",
        output="",
        error=RunFailure(
            kind=FailureKind.INTERNAL,
            message="The hub failed while it ran this task. The worker's log has the cause.",
            retryable=True,
        ),
        usage=Usage(),
        tool_calls=0,
        duration_ms=0,
    )
