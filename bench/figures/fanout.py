"""One event to 1,000 WebSocket clients of one process."""

import os
import socket
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
        Figure("events to 1,000 sockets", "/s", stored["rate"], "at least", 0.5, peer["rate"], PEER),
        Figure("live events to 1,000 sockets", "/s", live["rate"], "at least", 0.5, peer["rate"], PEER),
        Figure("event to 1,000 sockets, p50", "ms", stored["p50"], "at most", 2.0, peer["p50"], PEER),
        Figure("event to 1,000 sockets, p99", "ms", stored["p99"], "at most", 2.0, peer["p99"], PEER),
        Figure(
            "event to the last of 1,000 sockets, p99",
            "ms",
            stored["last_p99"],
            "at most",
            2.0,
            peer["last_p99"],
            PEER,
        ),
    ]


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
        staging.wait_until(lambda: _is_listening(port))
        yield f"127.0.0.1:{port}/", process.pid


def _measure(stage: Stage, kind: str, place: str, pid: int, tokens: Path) -> dict[str, Any]:
    with stage.hub("-m", "bench.publisher"):
        Redis.from_url(stage.redis_url).blpop([READY], timeout=60)
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


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
