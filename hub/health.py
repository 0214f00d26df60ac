"""Probes: is the process alive, can it serve."""

from typing import Any

import structlog
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from kernel import redis_client

log = structlog.get_logger(__name__)


def alive(request: HttpRequest) -> JsonResponse:
    """`/healthz`: the process answers; asks nobody else."""
    return JsonResponse({"status": "ok"})


def health(request: HttpRequest) -> JsonResponse:
    """`/health` (contract 003 B28)."""
    return JsonResponse(
        {
            "status": "healthy",
            "service": "agent-hub",
            "version": settings.VERSION,
            "environment": settings.HUB_ENVIRONMENT,
        }
    )


def ready(request: HttpRequest) -> JsonResponse:
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
    try:
        if Migrations.pending():
            return "migrations are pending"
    except Error as error:
        # The message may hold the address and the user; the log is the place for it.
        log.warning("hub.database.unreachable", error=type(error).__name__)
        return "unreachable"
    return "ok"


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
        redis_client.client().ping()
    except RedisError as error:
        log.warning("hub.redis.unreachable", error=type(error).__name__)
        return "unreachable"
    return "ok"
