"""Probes: is the process alive, can it serve."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from kernel.connections import fresh

log = structlog.get_logger(__name__)
PATIENCE_SECONDS: Final = 2.0
_asker = ThreadPoolExecutor(1, thread_name_prefix="hub-readiness")
_asking: Final[list[Future[str]]] = []
_asking_lock = Lock()


@cache
def _impatient() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def alive(_request: HttpRequest) -> JsonResponse:
    """`/healthz`: the process answers; asks nobody else."""
    return JsonResponse({"status": "ok"})


def health(_request: HttpRequest) -> JsonResponse:
    """`/health` (contract 003 B28)."""
    return JsonResponse(
        {
            "status": "healthy",
            "service": "agent-hub",
            "version": settings.VERSION,
            "environment": settings.HUB_ENVIRONMENT,
        }
    )


def ready(_request: HttpRequest) -> JsonResponse:
    """`/readyz`: 200 when database (migrated) and Redis answer, else 503."""
    checks = {"database": _database(), "redis": _redis()}
    good = all(state == "ok" for state in checks.values())
    return JsonResponse(
        {
            "status": "ready" if good else "not_ready",
            "version": settings.VERSION,
            "checks": checks,
        },
        status=200 if good else 503,
    )


def _database() -> str:
    """Asked on a thread of its own: a server that hangs answers no timeout of ours."""
    with _asking_lock:
        if not _asking or _asking[-1].done():
            _asking[:] = [_asker.submit(_ask_database)]
        asked = _asking[-1]
    try:
        return asked.result(PATIENCE_SECONDS)
    except TimeoutError:
        return "unreachable"


def _ask_database() -> str:
    try:
        with fresh():
            return "migrations are pending" if Migrations.pending() else "ok"
    except Error as error:
        # The message may hold the address and the user; the log is the place for it.
        log.warning("hub.database.unreachable", error=type(error).__name__)
        return "unreachable"


class Migrations:
    """Whether the schema is current; asked of the files once, as they change with the code only."""

    current = False

    @classmethod
    def pending(cls) -> bool:
        """True while migrations wait; raises a database Error when it does not answer."""
        if cls.current:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return False
        executor = MigrationExecutor(connection)
        plan: list[Any] = executor.migration_plan(executor.loader.graph.leaf_nodes())
        cls.current = not plan
        return bool(plan)


def _redis() -> str:
    try:
        _impatient().ping()
    except RedisError as error:
        log.warning("hub.redis.unreachable", error=type(error).__name__)
        return "unreachable"
    return "ok"
