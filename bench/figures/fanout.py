"""One event to 1,000 WebSocket clients of one process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import jwt
from redis import Redis

from bench import stage as staging
from bench.stage import Stage
from bench.table import Figure

CLIENTS: Final = int(os.environ.get("BENCH_CLIENTS", "1000"))
KEY: Final = "a key of the peer's, of no use elsewhere"
PEER: Final = "websockets"
READY: Final = "bench:publisher"


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    tokens = stage.folder / "fanout-tokens"
    stage.run_hub("-m", "bench.publisher", "tokens", str(CLIENTS), str(tokens))
    with _hub(stage) as (place, pid):
        stored = _measure(stage, "stored", place, pid, tokens)
    with _hub(stage) as (place, pid):
        live = _measure(stage, "live", place, pid, tokens)
    foreign = stage.folder / "fanout-foreign"
    foreign.write_text("\n".join(jwt.encode({"sub": str(n)}, KEY) for n in range(CLIENTS)))
    with _peer(stage) as (place, pid):
        peer = _measure(stage, "stored", place, pid, foreign)
    return [
        _rate("events to 1,000 sockets", stored, peer),
        _rate("live events to 1,000 sockets", live, peer),
        _delay("an event to each of 1,000 sockets, p50", "p50", stored, peer),
        _delay("an event to each of 1,000 sockets, p99", "p99", stored, peer),
        _delay("an event to the last of 1,000 sockets, p99", "last_p99", stored, peer),
    ]


def _rate(name: str, hub: dict[str, Any], peer: dict[str, Any]) -> Figure:
    return Figure(name, "/s", hub["rate"], "at least", 0.5, peer["rate"], PEER)


def _delay(name: str, part: str, hub: dict[str, Any], peer: dict[str, Any]) -> Figure:
    return Figure(name, "ms", hub[part], "at most", 2.0, peer[part], PEER)


@contextmanager
def _hub(stage: Stage) -> Iterator[tuple[str, int]]:
    port = staging.free_port()
    url = f"http://127.0.0.1:{port}"
    with stage.hub("manage.py", "web", "--port", str(port), HUB_PUBLIC_URL=url) as process:
        staging.wait_until(lambda: staging.is_up(f"{url}/readyz"))
        yield f"127.0.0.1:{port}/ws", process.pid


@contextmanager
def _peer(stage: Stage) -> Iterator[tuple[str, int]]:
    port = staging.free_port()
    command = ("-m", "bench.peers.fanout_server", str(port))
    with stage.peer(*command, BENCH_KEY=KEY) as process:
        staging.wait_until(lambda: staging.is_listening(port))
        yield f"127.0.0.1:{port}/", process.pid


def _measure(stage: Stage, kind: str, place: str, pid: int, tokens: Path) -> dict[str, Any]:
    with stage.hub("-m", "bench.publisher"):
        Redis.from_url(stage.redis_url, socket_timeout=90).blpop([READY], timeout=60)
        command = ("-m", "bench.peers.fanout_clients", place, kind, str(tokens))
        before = _memory(pid)
        found = stage.run_peer(*command, BENCH_SERVER=str(pid))
    found["rss_mb"] = _memory(pid)
    found["rss_before_mb"] = before
    rounded = {name: round(value, 2) for name, value in found.items()}
    print(f"{kind} {place}: {rounded}", file=sys.stderr)
    return found


def _memory(pid: int) -> float:
    """Peak resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
