"""What the figures about tasks share: agents and tasks through the API, a Celery peer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from bench.stage import Stage, call, wait_until

PEER_REDIS: Final = 5  # another Redis database than the hub's
BATCH: Final = 1000


def make_agent(url: str, token: str, **fields: Any) -> str:
    """The id of a new, started agent that may run 1,000 tasks at once."""
    body = {"name": f"Bench {uuid4()}", "max_concurrent_tasks": 1000, **fields}
    agent = call("POST", f"{url}/api/v1/agents/", body, token)
    call("POST", f"{url}/api/v1/agents/{agent['id']}/start", {}, token)
    return str(agent["id"])


def make_tasks(url: str, token: str, agent_id: str, count: int) -> None:
    """Create `count` tasks in bulk."""
    for first in range(0, count, BATCH):
        tasks = [
            {"title": f"Task {number}", "agent_id": agent_id}
            for number in range(first, min(first + BATCH, count))
        ]
        call("POST", f"{url}/api/v1/tasks/bulk", {"tasks": tasks}, token)


def count_open(stage: Stage, agent_id: str) -> int:
    """How many tasks of the agent have not ended."""
    with psycopg.connect(stage.superuser_url, autocommit=True) as database:
        row = database.execute(
            "SELECT count(*) FROM tasks_task WHERE agent_id = %s"
            " AND status IN ('pending', 'queued', 'assigned', 'in_progress')",
            [agent_id],
        ).fetchone()
    return int(row[0]) if row else 0


def wait_for_all(stage: Stage, agent_id: str, seconds: float = 300.0) -> None:
    """Return when every task of the agent has ended; raises RuntimeError unless all succeeded."""
    wait_until(lambda: count_open(stage, agent_id) == 0, seconds=seconds)
    with psycopg.connect(stage.superuser_url, autocommit=True) as database:
        other = database.execute(
            "SELECT status, error FROM tasks_task WHERE agent_id = %s AND status <> 'completed'",
            [agent_id],
        ).fetchone()
    if other:
        raise RuntimeError(f"A task ended otherwise: {other}")


@contextmanager
def celery(stage: Stage) -> Iterator[dict[str, str]]:
    """A running Celery worker with as many threads as the hub's; gives its settings."""
    broker = f"{stage.redis_url.rsplit('/', 1)[0]}/{PEER_REDIS}"
    settings = {"BENCH_BROKER": broker, "BENCH_DATABASE": make_database(stage, "bench_queue")}
    command = ("-m", "celery", "-A", "bench.peers.queue_app", "worker", "--pool=threads")
    with stage.peer(*command, "--concurrency=4", "--loglevel=WARNING", **settings):
        stage.run_peer("-m", "bench.peers.queue_run", "latency", "1", **settings)
        yield settings


def make_database(stage: Stage, name: str) -> str:
    """The address of the peer's own database on the same server."""
    with psycopg.connect(stage.superuser_url, autocommit=True) as database:
        found = database.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            database.execute(f'CREATE DATABASE "{name}"')
    parts = urlsplit(stage.superuser_url)
    return urlunsplit(parts._replace(path=f"/{name}"))
