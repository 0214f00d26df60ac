"""Celery, seen from the apps: declare a job, enqueue it by name, ring its doorbell.

The row is the truth and the message a doorbell: every job finds its work in the database, so a
lost message costs time until the next sweep and a doubled one costs nothing.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Final
from uuid import UUID

import structlog
from celery import current_app, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from kernel import connections, redis_client, tenancy
from kernel.errors import DomainError

log = structlog.get_logger(__name__)
RING_MILLISECONDS: Final = 2000
SILENCE_SECONDS: Final = 3.0


@dataclass(slots=True)
class _Silence:
    """Until when (monotonic seconds) this process does not try to ring."""

    until: float = 0.0


_silence = _Silence()
# Until when (monotonic seconds) a job that this process rang for has not begun; a worker whose
# clock is ahead begins earlier, and then what came after waits for the sweep.
_rung: Final[dict[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Schedule:
    """One periodic job: its name and period in seconds."""

    name: str
    every: float
    queue: str


_schedules: list[Schedule] = []
_routes: dict[str, dict[str, str]] = {}


def job(
    name: str,
    *,
    queue: str = "default",
    every: float | None = None,
    linger: float = 0,
    expected: tuple[type[DomainError], ...] = (),
) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as the Celery task `name` (`<app>.<verb_noun>`, permanent).

    Arguments are keyword-only ids and scalars. `every` (seconds) puts it on the scheduler's
    clock. `linger` (seconds) lets it wait before it looks, so that what happens at once is one
    piece of work and the jobs that somebody waits for go first. Errors in `expected` are logged at
    info; others at error, with traceback. None are retried by Celery: the sweep that finds the row
    again is the retry. One with the argument `organization_id` runs in that organization's scope,
    any other in the platform's (`kernel.tenancy`).
    """

    def register(function: Callable[..., Any]) -> Any:
        if every is not None:
            _schedules.append(Schedule(name, every, queue))

        @wraps(function)
        def run(**arguments: Any) -> None:
            with (
                structlog.contextvars.bound_contextvars(job=name),
                connections.fresh(),
                _scope(arguments.get("organization_id")),
            ):
                time.sleep(linger)
                _answer_doorbell(name)
                try:
                    function(**arguments)
                except expected as error:
                    log.info("kernel.job.refused", code=error.code)
                except Exception:
                    log.exception("kernel.job.failed")
                    raise

        _routes[name] = {"queue": queue}
        return shared_task(name=name, bind=False)(run)

    return register


def enqueue(name: str, **arguments: Any) -> None:
    """Send job `name` after the running transaction commits.

    Raises KeyError at once when no such job is registered. An unreachable broker is logged, not
    raised: the row is committed by then and the sweep will find it.
    """
    task = current_app.tasks[name]
    transaction.on_commit(partial(_send, task, arguments))


def ring(name: str, *, after_seconds: float = 0) -> None:
    """Like `enqueue` without arguments, but many rings before the job starts become one message.

    With `after_seconds` the job starts that much later, and so at most that often.
    """
    task = current_app.tasks[name]
    waiting = (hook[1] for hook in transaction.get_connection().run_on_commit)
    if not any(isinstance(h, partial) and h.func is _ring and h.args[0] is task for h in waiting):
        transaction.on_commit(partial(_ring, task, after_seconds))


def routes() -> dict[str, dict[str, str]]:
    """The queue of each job in the form of Celery's `task_routes`."""
    return dict(_routes)


def schedule() -> dict[str, dict[str, Any]]:
    """The periodic jobs in the form of Celery's `beat_schedule`."""
    return {
        s.name: {
            "task": s.name,
            "schedule": s.every,
            # A sweep that waited longer than its period is already queued again behind itself.
            "options": {"queue": s.queue, "expires": max(s.every, 1.0)},
        }
        for s in _schedules
    }


def _scope(organization_id: str | None) -> AbstractContextManager[None]:
    if organization_id is None:
        return tenancy.platform()
    return tenancy.organization(UUID(organization_id))


def _ring(task: Any, after_seconds: float) -> None:
    started = time.monotonic()
    if started < max(_silence.until, _rung.get(task.name, 0.0)):
        return
    milliseconds = RING_MILLISECONDS + round(after_seconds * 1000)
    try:
        first = redis_client.client().set(_doorbell(task.name), b"1", nx=True, px=milliseconds)
    except RedisError as error:
        log.warning("kernel.job.not_rung", job=task.name, error=type(error).__name__)
        # One request finds out and pays for it; the sweeps find what was not rung for meanwhile.
        _silence.until = time.monotonic() + SILENCE_SECONDS
        return
    if first:
        _send(task, {}, countdown=after_seconds or None)
        _rung[task.name] = started + after_seconds


def _send(task: Any, arguments: dict[str, Any], **options: Any) -> None:
    try:
        task.apply_async(kwargs=arguments, retry=False, **options)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("kernel.job.not_sent", job=task.name, error=type(error).__name__)


def _answer_doorbell(name: str) -> None:
    """Clear the bell before looking at rows: a ring after this point is a new message."""
    try:
        redis_client.client().delete(_doorbell(name))
    except RedisError as error:
        log.warning("kernel.job.bell_stuck", job=name, error=type(error).__name__)


def _doorbell(name: str) -> str:
    return f"hub:doorbell:{name}"
