"""`manage.py web` as a process: Django behind the front, start and end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from accounts.models import User
from hub.embedded.servers import Servers
from hub.front import protocol, server
from tests.accounts import factories
from tests.conftest import repository
from tests.hub.front import peer
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)
DRAIN_SECONDS = 4
Process = subprocess.Popen[bytes]


@contextmanager
def web(servers: Servers, log: Path, *arguments: str) -> Iterator[tuple[Front, Process]]:
    """`manage.py web` with these servers, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = command(servers, "--port", str(port), *arguments, output=output.fileno())
        try:
            _until_ready(port, process, log)
            yield Front(port), process
        finally:
            process.kill()
            process.wait()


def command(servers: Servers, *arguments: str, output: int) -> Process:
    return subprocess.Popen(
        [sys.executable, "manage.py", "web", *arguments],
        cwd=repository(),
        env={
            **os.environ,
            "DATABASE_URL": servers.postgres.url,
            "REDIS_URL": servers.redis.url,
            "HUB_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "HUB_LOG_LEVEL": "DEBUG",
        },
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _until_ready(port: int, process: Process, log: Path) -> None:
    while process.poll() is None:
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"The web process ended before it answered: {log.read_text()[-2000:]}")


def test_django_answers_behind_the_front(front: Front, viewer: User) -> None:
    headers = {"Authorization": f"Bearer {factories.make_token(viewer)}"}

    with httpx.Client(base_url=f"http://127.0.0.1:{front.port}", headers=headers) as client:
        me = client.get("/api/v1/auth/me")
        nowhere = client.get("/nowhere")

    assert (me.status_code, me.json()["email"]) == (200, viewer.email)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "route.not_found")


def test_no_other_path_takes_sockets(front: Front) -> None:
    with pytest.raises(Exception, match="HTTP 403"), front.connect("/elsewhere"):
        pass


def test_a_head_without_end_is_cut_off(front: Front) -> None:
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as request,
        pytest.raises(OSError, match=r"reset|Broken pipe"),
    ):
        request.sendall(b"GET /healthz HTTP/1.1\r\nX-Endless: " + b"x" * 50_000_000)


@pytest.mark.parametrize("beginning", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127"])
def test_a_head_that_never_comes_is_cut_off(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 1.0)

    with (
        peer.running() as front,
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as request,
    ):
        request.sendall(beginning)

        assert request.recv(1) == b""


def test_a_connection_serves_one_request_after_another(front: Front) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{front.port}") as client:
        heads = {"X-Long": "x" * 30_000}
        answers = [client.get("/healthz", headers=heads).status_code for _ in range(5)]

    assert answers == [200] * 5


def test_a_port_in_use_is_said_in_one_line(servers: Servers, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with socket.create_server(("127.0.0.1", 0)) as taken, log.open("wb") as output:
        port = taken.getsockname()[1]
        code = command(servers, "--port", str(port), output=output.fileno()).wait(60)

    assert code == 1
    assert log.read_text() == (
        f"CommandError: Cannot listen on 127.0.0.1:{port} (Address already in use)."
        " Choose another --port or --bind.\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families_can_be_bound(host: str) -> None:
    with server.bind(host=host, port=0) as listening:
        assert listening.getsockname()[0] == host


def test_the_term_signal_closes_sockets_and_finishes_requests(
    servers: Servers, viewer: User, tmp_path: Path
) -> None:
    with (
        web(servers, tmp_path / "web.log") as (front, process),
        front.client(viewer, "task.*") as client,
        socket.create_connection(("127.0.0.1", front.port)) as request,
    ):
        head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        request.sendall(head + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
        client.ask(type="ping")
        process.send_signal(signal.SIGTERM)
        code = client.close_code()
        request.sendall(b"}")
        answer = request.recv(4096)

        assert (code, answer[:12]) == (1012, b"HTTP/1.1 422")
        assert process.wait(30) == 0


def test_a_request_that_never_ends_is_cut_off(servers: Servers, tmp_path: Path) -> None:
    with (
        web(servers, tmp_path / "web.log") as (front, process),
        socket.create_connection(("127.0.0.1", front.port)) as request,
    ):
        request.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        request.sendall(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
        process.send_signal(signal.SIGTERM)

        assert process.wait(DRAIN_SECONDS + 30) == 0


def test_tokens_stay_out_of_the_log(servers: Servers, viewer: User, tmp_path: Path) -> None:
    log, token = tmp_path / "web.log", factories.make_token(viewer)

    with (
        web(servers, log) as (front, process),
        front.connect(f"?token={token}") as by_query,
        front.connect() as by_message,
    ):
        assert by_query.ask(type="ping") == ("pong", None)
        assert by_message.ask(type="auth", token=token)[0] == "authenticated"
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    assert token not in log.read_text()


def test_several_processes_share_the_port_and_end_together(
    servers: Servers, viewer: User, tmp_path: Path
) -> None:
    with web(servers, tmp_path / "web.log", "--workers", "2") as (front, process):
        with front.client(viewer, "task.*") as one, front.client(viewer, "task.*") as other:
            assert (one.ask(type="ping"), other.ask(type="ping")) == (("pong", None),) * 2
            process.send_signal(signal.SIGTERM)

            assert (one.close_code(), other.close_code()) == (1012, 1012)
        assert process.wait(30) == 0
