"""How the parts of the hub do: each is really asked, all at once, within two seconds.

An answer is one word of a fixed list, never the cause: causes hold addresses and names. The log
has them.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, partial
from threading import Lock
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hub import mail
from kernel import ids
from kernel.connections import fresh
from kernel.tasks import PULSE
from preferences.selectors import values

log = structlog.get_logger(__name__)
PATIENCE_SECONDS: Final = 2.0
UNREACHABLE: Final = "unreachable"
NOT_CONFIGURED: Final = "not_configured"
FINE: Final = frozenset({"ok", NOT_CONFIGURED})
Check = Callable[[], str]
# What hangs keeps its thread until its own timeout; then the others say "unreachable", in time.
_askers = ThreadPoolExecutor(16, thread_name_prefix="hub-health")
# Apart from the others, one for each organization: its administrators choose whom it asks.
_post = ThreadPoolExecutor(4, thread_name_prefix="hub-health-mail")
_posting: Final[dict[UUID, Future[str]]] = {}
_posting_lock = Lock()
_asker = ThreadPoolExecutor(1, thread_name_prefix="hub-readiness")
_asking: Final[list[Future[str]]] = []
_asking_lock = Lock()


def report(*, organization_id: UUID) -> dict[str, Any]:
    """`{overall, components: {name: {status}}}` (contract 003 B9); mail as the organization's."""
    preferences = values.read(organization_id=organization_id)
    post = _ask_post(organization_id, preferences)
    until = time.monotonic() + PATIENCE_SECONDS + 0.1
    found = ask({"database": database, "redis": redis, "storage": storage, "jobs": jobs})
    wait([post], timeout=max(0.0, until - time.monotonic()))
    found["mail"] = _answer("mail", post)
    good = all(state in FINE for state in found.values())
    return {
        "overall": "healthy" if good else "degraded",
        "components": {name: {"status": state} for name, state in found.items()},
    }


def _ask_post(organization_id: UUID, preferences: values.Values) -> "Future[str]":
    """The answer that is under way, or a new one."""
    with _posting_lock:
        asked = _posting.get(organization_id)
        if asked is None or asked.done():
            check = partial(mail.check, preferences, seconds=PATIENCE_SECONDS)
            asked = _posting[organization_id] = _post.submit(check)
            asked.add_done_callback(lambda _: _posting.pop(organization_id, None))
        return asked


def ask(checks: Mapping[str, Check]) -> dict[str, str]:
    """The answers by name, after two seconds at most."""
    asked = {name: _askers.submit(check) for name, check in checks.items()}
    _, late = wait(asked.values(), timeout=PATIENCE_SECONDS + 0.1)
    for each in late:
        each.cancel()
    return {name: _answer(name, answer) for name, answer in asked.items()}


def database() -> str:
    """Asked on a thread of its own: a server that hangs answers no timeout of ours."""
    with _asking_lock:
        if not _asking or _asking[-1].done():
            _asking[:] = [_asker.submit(_ask_database)]
        asked = _asking[-1]
    try:
        return asked.result(PATIENCE_SECONDS)
    except TimeoutError:
        return UNREACHABLE


def redis() -> str:
    """Whether it answers a PING."""
    try:
        _impatient().ping()
    except RedisError as error:
        log.warning("hub.redis.unreachable", error=type(error).__name__)
        return UNREACHABLE
    return "ok"


def storage() -> str:
    """Whether the file store keeps what is written into it: writes, reads and deletes a probe."""
    content = str(ids.new()).encode()
    try:
        keep = default_storage.save  # a file: no row is written past its operation
        name = keep(f".health/{ids.new()}", ContentFile(content))
        try:
            with default_storage.open(name) as kept:
                return "ok" if kept.read() == content else "damaged"
        finally:
            default_storage.delete(name)
    except Exception as error:  # noqa: BLE001 - each store raises its own
        log.warning("hub.storage.unreachable", error=type(error).__name__)
        return UNREACHABLE


def jobs() -> str:
    """Whether the scheduler rang and a worker heard it within the last minute."""
    try:
        return "ok" if _impatient().exists(PULSE) else "silent"
    except RedisError:
        return UNREACHABLE


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


def _ask_database() -> str:
    try:
        with fresh():
            return "migrations are pending" if Migrations.pending() else "ok"
    except Error as error:
        # The message may hold the address and the user; the log is the place for it.
        log.warning("hub.database.unreachable", error=type(error).__name__)
        return UNREACHABLE


def _answer(name: str, answer: "Future[str]") -> str:
    if not answer.done() or answer.cancelled():
        return UNREACHABLE
    if error := answer.exception():
        log.error("hub.health.check_failed", component=name, exc_info=error)
        return UNREACHABLE
    return answer.result()


@cache
def _impatient() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
