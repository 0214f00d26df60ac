"""Slow and chunked bodies: what a client holds back must hold nobody else up."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from accounts.models import User
from hub.front.app import THREADS
from tests.accounts import factories
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)


def base(front: Front) -> str:
    """Where it answers HTTP."""
    return front.url.replace("ws", "http", 1).removesuffix("/ws")


def chunks(body: bytes) -> Iterator[bytes]:
    """The body in pieces, so that it is sent without a length."""
    for start in range(0, len(body), 7):
        yield body[start : start + 7]


def test_bodies_that_never_end_leave_room_for_others(front: Front) -> None:
    url = httpx.URL(base(front))
    with ExitStack() as stack:
        for _ in range(THREADS + 2):
            held = stack.enter_context(socket.create_connection((url.host, url.port), 5))
            held.sendall(
                b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )

        alive = httpx.get(f"{base(front)}/healthz", timeout=5)
        ready = httpx.get(f"{base(front)}/health", timeout=5)

    assert (alive.status_code, ready.status_code) == (200, 200)


def test_a_chunked_body_is_read(front: Front, operator: User) -> None:
    body = json.dumps({"title": "Sent in pieces"}).encode()

    answer = httpx.post(
        f"{base(front)}/api/v1/tasks/",
        content=chunks(body),
        headers={
            "Authorization": f"Bearer {factories.make_token(operator)}",
            "Content-Type": "application/json",
        },
    )

    assert answer.status_code == 201
    assert answer.json()["title"] == "Sent in pieces"


def test_a_chunked_body_over_the_limit_is_refused(front: Front) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 1024 * 1024

    answer = httpx.post(f"{base(front)}/api/v1/auth/login", content=endless(), timeout=30)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "request.too_large"


def test_a_declared_length_over_the_limit_is_refused_before_it_is_sent(front: Front) -> None:
    url = httpx.URL(base(front))
    with socket.create_connection((url.host, url.port), 5) as client:
        client.sendall(
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 99999999\r\n\r\n"
        )
        first_line = client.recv(64).split(b"\r\n")[0]

    assert b" 413 " in first_line
