"""What every answer tells browsers, whoever gives it."""

import asyncio
from typing import Any

import httpx
import pytest

from hub.front.hardening import DATA, PAGE, Hardened
from tests.hub.front.peer import Front


@pytest.mark.parametrize(
    ("path", "status", "policy", "cached"),
    [
        ("/admin/login/", 200, PAGE, "max-age=0"),
        ("/api/v1/tasks", 401, DATA, "no-store"),
        ("/api/v1/tasks/1/stream", 401, DATA, "no-store"),
        ("/api/v1/audit-events/export", 401, DATA, "no-store"),
        ("/healthz", 200, DATA, "no-store"),
        ("/no/such/page", 404, None, None),
    ],
)
def test_every_answer_has_its_headers(
    front: Front, path: str, status: int, policy: str | None, cached: str | None
) -> None:
    base = front.url.replace("ws:", "http:").removesuffix("/ws")
    answer = httpx.get(base + path, trust_env=False)

    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert policy in {None, answer.headers["content-security-policy"]}
    assert cached is None or cached in answer.headers["cache-control"]
    assert "strict-transport-security" not in answer.headers  # it is plain http here


def begin(headers: list[tuple[bytes, bytes]], *, is_https: bool) -> dict[bytes, bytes]:
    """The headers of an application's answer as they leave."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    asyncio.run(Hardened(app, is_https=is_https)({"type": "http"}, receive, send))
    return dict(sent[0]["headers"])


def test_over_https_browsers_are_told_to_stay_there() -> None:
    assert begin([], is_https=True)[b"strict-transport-security"] == b"max-age=31536000"


def test_what_an_answer_says_itself_stays() -> None:
    said = [(b"content-type", b"application/json"), (b"cache-control", b"public, max-age=300")]

    assert begin(said, is_https=False)[b"cache-control"] == b"public, max-age=300"
