"""Closed-loop HTTP load over keep-alive connections, in a process of its own.

A raw asyncio protocol that parses only what it must (status, Content-Length), so that the client
takes as little of the machine as it can, and the same from both sides. Prints one line of JSON:
`{requests, seconds, p50, p99, wrong, last}`; times of one request in milliseconds, `wrong` counts
answers with another status than expected, `last` is the last good body.
"""

import argparse
import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """One client: sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, request: bytes, expected: bytes, until: float, warm: float) -> None:
        self.request = request
        self.expected = b"HTTP/1.1 " + expected
        self.until = until
        self.warm = warm
        self.waited: list[float] = []
        self.wrong = 0
        self.last = b""
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else len(head)])
        if len(self.buffer) < end + 4 + length:
            return
        now = time.perf_counter()
        if not self.buffer.startswith(self.expected):
            self.wrong += 1
            print(self.buffer[:2000], file=sys.stderr)
        else:
            self.last = self.buffer[end + 4 :]
        if now >= self.warm:
            self.waited.append(now - self.sent)
        self.buffer = b""
        if now < self.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)


async def load(asked: argparse.Namespace) -> dict[str, object]:
    """Everything asked for."""
    parts = urlsplit(asked.url)
    body = asked.body.encode()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    head = [
        f"{asked.method} {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Bearer {asked.token}",
        "Accept: application/json",
    ]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    request = "\r\n".join([*head, "", ""]).encode() + body
    began = time.perf_counter()
    warm = began + asked.warm
    until = warm + asked.seconds
    made = [
        asyncio.get_running_loop().create_connection(
            lambda: Connection(request, asked.status.encode(), until, warm),
            parts.hostname,
            parts.port,
        )
        for _ in range(asked.connections)
    ]
    connections = [protocol for _, protocol in await asyncio.gather(*made)]
    await asyncio.gather(*(connection.done for connection in connections))
    seconds = time.perf_counter() - warm
    waited = sorted(one for connection in connections for one in connection.waited)
    return {
        "requests": len(waited),
        "seconds": seconds,
        "p50": waited[len(waited) // 2] * 1000,
        "p99": waited[len(waited) * 99 // 100] * 1000,
        "wrong": sum(connection.wrong for connection in connections),
        "last": json.loads(connections[0].last),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--token", default="")
    parser.add_argument("--body", default="")
    parser.add_argument("--status", default="200")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--warm", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0)
    print(json.dumps(uvloop.run(load(parser.parse_args()))))
