"""A list and a POST: two processes of the web front, and of FastAPI with SQLAlchemy."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from bench.stage import Stage, call, free_port, is_up, log_in, wait_until
from bench.table import Figure

TASKS: Final = 10_000
FIELDS: Final = 35  # of a task, on both sides
BULK: Final = 1_000
LIMIT: Final = 25
WORKERS: Final = 2
TURNS: Final = 3
SECONDS: Final = 3.0
DATABASE: Final = "http_peer"
PEER: Final = "FastAPI"
NEW: Final[dict[str, Any]] = {
    "title": "Sum up the week",
    "description": "Read what came in since Monday and write ten lines.",
    "priority": "high",
    "metadata": {"source": "bench"},
}


@dataclass(slots=True)
class Side:
    """One server under load, and what it did."""

    url: str
    token: str
    requests: int = 0
    seconds: float = 0.0
    p99: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second over all turns."""
        return self.requests / self.seconds


def measure(stage: Stage) -> list[Figure]:
    """One round; the two sides take turns, so that what else the machine does hits both."""
    with _hub(stage) as hub, _peer(stage) as peer:
        _analyze(stage)
        listed = _take_turns(stage, hub, peer, _list)
        posted = _take_turns(stage, hub, peer, _post)
    return [*_figures("GET /tasks/?limit=25", *listed), *_figures("POST /tasks/", *posted)]


def _figures(name: str, hub: Side, peer: Side) -> list[Figure]:
    latency = f"{PEER}, p99 {max(peer.p99):.0f} ms, hub's {max(hub.p99):.0f} ms"
    return [Figure(name, "req/s", hub.rate, "at least", 1.0, peer.rate, latency)]


def _take_turns(
    stage: Stage,
    hub: tuple[str, str],
    peer: tuple[str, str],
    ask: Callable[[Stage, Side], dict[str, Any]],
) -> tuple[Side, Side]:
    sides = (Side(*hub), Side(*peer))
    for _ in range(TURNS):
        for side in sides:
            done = ask(stage, side)
            if done["wrong"]:
                raise RuntimeError(f"{side.url} refused {done['wrong']} requests.")
            side.requests += done["requests"]
            side.seconds += done["seconds"]
            side.p99.append(done["p99"])
    return sides


def _list(stage: Stage, side: Side) -> dict[str, Any]:
    done = _load(stage, f"{side.url}?limit={LIMIT}", side.token)
    answer = done["last"]
    if (len(answer["items"]), answer["total"]) != (LIMIT, TASKS):
        raise RuntimeError(f"{side.url} listed {len(answer['items'])} of {answer['total']}.")
    if len(answer["items"][0]) != FIELDS:
        raise RuntimeError(f"{side.url} shows {len(answer['items'][0])} fields.")
    return done


def _post(stage: Stage, side: Side) -> dict[str, Any]:
    new = ("--method", "POST", "--body", json.dumps(NEW), "--status", "201")
    done = _load(stage, side.url, side.token, *new)
    if {name: done["last"][name] for name in NEW} != NEW or len(done["last"]) != FIELDS:
        raise RuntimeError(f"{side.url} wrote {done['last']}.")
    return done


def _load(stage: Stage, url: str, token: str, *options: str) -> dict[str, Any]:
    command = ("-m", "bench.peers.http_load", url, "--token", token)
    return stage.run_peer(*command, "--seconds", str(SECONDS), *options)


@contextmanager
def _hub(stage: Stage) -> Iterator[tuple[str, str]]:
    """Address and token of a hub with TASKS tasks."""
    # A round before this one left tasks behind: the figures are about as many as the peer has.
    with psycopg.connect(stage.superuser_url, autocommit=True) as connection:
        connection.execute("TRUNCATE tasks_task, events_outboxevent CASCADE")
    with stage.web(workers=WORKERS) as url:
        token = log_in(url)
        for first in range(0, TASKS, BULK):
            tasks = [
                {
                    "title": f"Task {number}",
                    "description": "Nothing to do.",
                    "metadata": {"number": number},
                }
                for number in range(first, first + BULK)
            ]
            call("POST", f"{url}/api/v1/tasks/bulk", {"tasks": tasks}, token)
        yield f"{url}/api/v1/tasks/", token


@contextmanager
def _peer(stage: Stage) -> Iterator[tuple[str, str]]:
    """The same of the peer, in a database of its own on the same server."""
    with psycopg.connect(stage.superuser_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    settings = {"BENCH_PEER_DATABASE": _url(stage)}
    token = stage.run_peer("-m", "bench.peers.http_app", str(TASKS), **settings)["token"]
    port = free_port()
    command = ("-m", "uvicorn", "bench.peers.http_app:app", "--port", str(port))
    served = ("--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools")
    with stage.peer(*command, *served, "--no-access-log", "--log-level", "warning", **settings):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(f"{url}/openapi.json"))
        yield f"{url}/tasks/", token


def _url(stage: Stage) -> str:
    """The peer's database as asyncpg is told of it."""
    parts = psycopg.conninfo.conninfo_to_dict(stage.superuser_url)
    where = f"{parts['user']}:{parts.get('password') or ''}@/{DATABASE}"
    return f"postgresql+asyncpg://{where}?host={parts['host']}&port={parts.get('port') or 5432}"


def _analyze(stage: Stage) -> None:
    """Let the planner know what was loaded, on both sides alike."""
    own = psycopg.conninfo.make_conninfo(stage.superuser_url, dbname=DATABASE)
    for url in (stage.superuser_url, own):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
