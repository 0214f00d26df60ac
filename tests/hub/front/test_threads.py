"""Requests as WSGI sees them, and what comes back."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hub.front.threads import Answer, Threads, environ

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/api/v1/tasks/",
    "query_string": b"limit=25",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.2", 4000),
    "headers": [],
}


def with_headers(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return environ({**SCOPE, "headers": headers}, b"")


def ask(application: Callable[..., Any], body: bytes = b"") -> Answer:
    return asyncio.run(Threads(application, count=1).answer(SCOPE, body))


def test_a_request_arrives_whole() -> None:
    found = environ({**SCOPE, "path": "/ä"}, b"{}")

    assert (found["REQUEST_METHOD"], found["QUERY_STRING"]) == ("POST", "limit=25")
    assert found["PATH_INFO"].encode("latin-1").decode() == "/ä"
    assert (found["REMOTE_ADDR"], found["SERVER_PORT"]) == ("127.0.0.2", "8000")
    assert (found["CONTENT_LENGTH"], found["wsgi.input"].read()) == ("2", b"{}")


def test_headers_have_the_names_that_cgi_gave_them() -> None:
    found = with_headers(
        (b"content-type", b"text/plain"), (b"x-request-id", b"7"), (b"content-length", b"99")
    )

    assert (found["CONTENT_TYPE"], found["HTTP_X_REQUEST_ID"]) == ("text/plain", "7")
    assert not {"HTTP_CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"} & found.keys()


def test_a_header_that_comes_twice_is_joined() -> None:
    found = with_headers(
        (b"accept", b"a/b"), (b"accept", b"c/d"), (b"cookie", b"a=1"), (b"cookie", b"b=2")
    )

    assert (found["HTTP_ACCEPT"], found["HTTP_COOKIE"]) == ("a/b,c/d", "a=1; b=2")


@pytest.mark.parametrize("name", [b"x_forwarded_proto", b"x_forwarded-proto", b"content_type"])
def test_an_underscore_forges_no_header(name: bytes) -> None:
    found = with_headers((name, b"forged"))

    assert "forged" not in found.values()


def test_no_environment_names_another_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/elsewhere")

    assert environ(SCOPE, b"")["SCRIPT_NAME"] == ""


def test_an_answer_comes_back_whole() -> None:
    def application(request: dict[str, Any], start: Callable[..., Any]) -> Iterator[bytes]:
        start("201 Created", [("Content-Type", "text/plain"), ("X-Thread", "é")])
        yield threading.current_thread().name.encode()
        yield request["wsgi.input"].read()

    answer = ask(application, b" read")

    assert answer.status == 201
    assert answer.headers == [(b"content-type", b"text/plain"), (b"x-thread", b"\xe9")]
    assert answer.body == b"django_0 read"


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_answered_is_closed(*, fails: bool) -> None:
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield b"1"
            if fails:
                raise OSError("No more.")

        def close(self) -> None:
            closed.append(True)

    def application(_: dict[str, Any], start: Callable[..., Any]) -> Pieces:
        start("200 OK", [])
        return Pieces()

    if fails:
        with pytest.raises(OSError, match="No more"):
            ask(application)
    else:
        assert ask(application).body == b"1"
    assert closed == [True]
