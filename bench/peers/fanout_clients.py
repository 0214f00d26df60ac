"""Many WebSocket clients that cost little: they count frames and look at the clock.

`python -m bench.peers.fanout_clients HOST:PORT/PATH KIND TOKENS`, the latter a file with a token a
line and so a client each. Each right to publish one event is a word in a Redis list; whoever
publishes (`bench.publisher`) waits for it there.
"""

import asyncio
import json
import os
import struct
import sys
import time
from pathlib import Path

import redis.asyncio
import uvloop

GRANTS = "bench:grants"
EVENT = {"stored": "task.updated", "live": "task.output"}
WINDOW = 32
BURST = 600  # events as fast as the slowest client follows
CALM = 200  # events at a steady rate
CALM_SECONDS = 0.05
CONNECTING = 1000  # handshakes at once, as after a restart
TEXT, CLOSE, PING = 0x81, 0x88, 0x89


class Crowd:
    """All clients, and what has arrived at how many of them."""

    def __init__(self, kind: str, size: int) -> None:
        self.kind = kind
        self.size = size
        self.arrivals: list[int] = []
        self.delays: list[int] = []
        self.last_delays: list[int] = []
        self.sent: list[int] = []
        self.payloads: list[bytes] = []
        self.redis = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
        self.on_complete = lambda: None
        self.over = False

    def arrived(self, number: int, payload: bytes, now: int) -> None:
        """Event `number` of some client's; its content must be that of all the others."""
        if number == len(self.payloads):
            self.payloads.append(payload)
            self.sent.append(json.loads(payload)["data"]["sent"])
            self.arrivals.append(0)
        elif payload != self.payloads[number]:
            raise RuntimeError(f"event {number} differs: {payload!r}")
        self.delays.append(now - self.sent[number])
        self.arrivals[number] += 1
        if self.arrivals[number] == self.size:
            self.last_delays.append(now - self.sent[number])
            self.on_complete()


class Client(asyncio.Protocol):
    """One connection, from its handshake on."""

    def __init__(self, crowd: Crowd, place: str, token: str) -> None:
        self.crowd = crowd
        self.place = place
        self.token = token
        self.ready = asyncio.get_running_loop().create_future()
        self.count = 0
        self.rest = b""
        self.step = self.handshake

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        host, _, path = self.place.partition("/")
        head = (
            f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        transport.write(head.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.crowd.over:
            print(f"a client was cut off after {self.count} events: {exc!r}", file=sys.stderr)
            os._exit(1)

    def data_received(self, data: bytes) -> None:
        self.step(self.rest + data if self.rest else data)

    def handshake(self, data: bytes) -> None:
        head, end, self.rest = data.partition(b"\r\n\r\n")
        if not end:
            self.rest = data
            return
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head.decode())
        self.step = self.greet
        self.say({"type": "auth", "token": self.token})

    def greet(self, data: bytes) -> None:
        for _opcode, payload in self.frames(data):
            kind = json.loads(payload)["type"]
            if kind == "authenticated":
                self.say({"type": "subscribe", "event": EVENT[self.crowd.kind]})
            elif kind == "subscribed":
                self.step = self.count_events
                self.ready.set_result(None)
            else:
                raise RuntimeError(f"{payload!r}")

    def count_events(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for opcode, payload in self.frames(data):
            if opcode == TEXT:
                self.crowd.arrived(self.count, payload, now)
                self.count += 1
            elif opcode == PING:
                self.transport.write(bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
            else:
                raise RuntimeError(f"opcode {opcode}: {payload!r}")

    def frames(self, data: bytes):
        start, end = 0, len(data)
        while end - start >= 2:
            length, body = data[start + 1], start + 2
            if length == 126:
                if end < body + 2:
                    break
                (length,), body = struct.unpack_from("!H", data, body), body + 2
            if end < body + length:
                break
            yield data[start], data[body : body + length]
            start = body + length
        self.rest = data[start:]

    def say(self, message: dict[str, str]) -> None:
        payload = json.dumps(message).encode()
        size = struct.pack("!BBH", TEXT, 0x80 | 126, len(payload))
        self.transport.write(size + bytes(4) + payload)  # masked with zeros


async def connect(crowd: Crowd, place: str, tokens: list[str]) -> float:
    """Open a socket for each token; returns how long that took."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(CONNECTING)
    host, port = place.partition("/")[0].split(":")

    async def open_one(token: str) -> None:
        async with gate:
            _, client = await loop.create_connection(
                lambda: Client(crowd, place, token), host, int(port)
            )
            await client.ready

    started = time.monotonic()
    await asyncio.gather(*map(open_one, tokens))
    return time.monotonic() - started


async def measure_burst(crowd: Crowd) -> float:
    """Events per second that reach everybody, with a window of them on their way."""
    granted = done = 0
    over = asyncio.Event()
    tasks = set()

    def grant(count: int) -> None:
        nonlocal granted
        count = min(count, BURST - granted)
        granted += count
        if count:
            task = asyncio.ensure_future(crowd.redis.rpush(GRANTS, *[crowd.kind] * count))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def completed() -> None:
        nonlocal done
        done += 1
        grant(1)
        if done == BURST:
            over.set()

    crowd.on_complete = completed
    started = time.monotonic()
    grant(WINDOW)
    await over.wait()
    return BURST / (time.monotonic() - started)


async def measure_calm(crowd: Crowd) -> None:
    """Delays of events that come one at a time."""
    done = 0
    over = asyncio.Event()

    def completed() -> None:
        nonlocal done
        done += 1
        if done == CALM:
            over.set()

    crowd.delays.clear()
    crowd.last_delays.clear()
    crowd.on_complete = completed
    for _ in range(CALM):
        await crowd.redis.rpush(GRANTS, crowd.kind)
        await asyncio.sleep(CALM_SECONDS)
    await over.wait()


def part(values: list[int], share: float) -> float:
    """A percentile in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / 1e6


def used_cpu() -> float:
    """CPU seconds of the server so far."""
    fields = Path(f"/proc/{os.environ['BENCH_SERVER']}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


async def main(place: str, kind: str, file: str) -> None:
    """Connect everybody, then both measurements."""
    tokens = Path(file).read_text().split()
    crowd = Crowd(kind, len(tokens))
    before = used_cpu()
    connecting = await connect(crowd, place, tokens)
    connecting_cpu = used_cpu() - before
    before = used_cpu()
    rate = await measure_burst(crowd)
    cpu = used_cpu() - before
    await asyncio.sleep(0.5)
    await measure_calm(crowd)
    crowd.over = True
    print(
        json.dumps(
            {
                "connecting_s": connecting,
                "connecting_cpu_s": connecting_cpu,
                "rate": rate,
                "cpu_ms": cpu / BURST * 1000,
                "p50": part(crowd.delays, 0.5),
                "p99": part(crowd.delays, 0.99),
                "last_p50": part(crowd.last_delays, 0.5),
                "last_p99": part(crowd.last_delays, 0.99),
            }
        ),
        flush=True,
    )
    os._exit(0)  # a thousand farewells measure nothing


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
