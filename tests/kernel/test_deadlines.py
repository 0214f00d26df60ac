"""A blocking call ends at its deadline, however the other side drips."""

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from kernel import deadlines, outbound
from kernel.outbound import OutboundPolicy, OutboundTimedOut, Reply
from tests.peers.slow_server import slow_server

LOOPBACK = OutboundPolicy.parse("127.0.0.0/8")


def fetch(url: str, *, seconds: float, **options: Any) -> Reply:
    """The client's own timeouts are no help."""
    with outbound.sync_client(LOOPBACK, timeout_seconds=20) as client:
        return outbound.fetch(client, "POST", url, deadline_seconds=seconds, **options)


def waiting() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "hub-deadline"]


def finish() -> None:
    """Let the look-ups end that nobody awaits."""
    for thread in threading.enumerate():
        if thread.name == "hub-deadline":
            thread.join(20)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Answers about names, none before the event is set."""
    answers = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        if str(host).endswith("example"):
            assert answers.wait(20)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield answers
    answers.set()
    finish()


@pytest.mark.parametrize(
    ("manner", "scheme"),
    [
        ("silent", "http"),
        ("headers", "http"),
        ("body", "http"),
        ("empty_chunks", "http"),
        ("silent", "https"),
        ("handshake", "https"),
    ],
)
def test_nothing_that_is_dripped_outlives_the_deadline(manner: str, scheme: str) -> None:
    with slow_server(manner) as slow:
        with pytest.raises(OutboundTimedOut):
            fetch(f"{scheme}://127.0.0.1:{slow.port}/", seconds=0.7, content=b"x" * 40_000)

        slow.wait_for(0)  # the other side sees the connection closed
        assert (slow.accepted, slow.finished) == (1, 0)
    assert waiting() == []


@pytest.mark.parametrize("manner", ["headers", "body"])
def test_what_drips_in_time_is_read(manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.peers.slow_server.PAUSE_SECONDS", 0.01)

    with slow_server(manner) as slow:
        reply = fetch(f"{slow.issuer}/", seconds=20)

    assert (reply.status, reply.text.strip()) == (200, '{"a": 1}')


def test_without_a_deadline_only_each_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.peers.slow_server.PAUSE_SECONDS", 0.05)

    with slow_server("headers") as slow, outbound.sync_client(LOOPBACK, timeout_seconds=0.7) as it:
        assert it.get(f"{slow.issuer}/").json() == {"a": 1}


def test_the_addresses_of_a_name_share_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ip_address("127.0.0.1")] * 3
    monkeypatch.setattr(outbound, "_resolve", lambda _host, _port: found)

    with slow_server("silent") as slow:
        with pytest.raises(OutboundTimedOut):
            fetch(f"https://hub.example:{slow.port}/", seconds=0.4)
        assert slow.accepted == 1


def test_a_name_that_nobody_resolves(resolver: threading.Event) -> None:
    """Who asks for the same one shares a thread, which ends with the resolver's answer."""
    for _ in range(3):
        with pytest.raises(OutboundTimedOut):
            fetch("https://slow.example/", seconds=0.1)
    assert waiting() == ["hub-deadline"]

    resolver.set()

    with pytest.raises(outbound.OutboundRefused):
        fetch("https://slow.example/", seconds=20)
    finish()
    assert waiting() == []


def test_names_that_nobody_resolves_cost_so_many_threads(
    resolver: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "MOST_AWAITED", 2)

    for number in range(4):
        with pytest.raises(OutboundTimedOut):
            fetch(f"https://{number}.example/", seconds=0.05)

    assert len(waiting()) == 2


def test_a_thread_that_cannot_start_blocks_nobody_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr("kernel.deadlines.Thread.start", refuse)
        with deadlines.within(5), pytest.raises(TimeoutError):
            deadlines.wait_for("host", lambda: "answer")

    with deadlines.within(5):
        assert deadlines.wait_for("host", lambda: "answer") == "answer"
