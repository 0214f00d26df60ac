"""The guard for clients of httpx2."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import httpx2
import pytest

from kernel import outbound, outbound_streams
from kernel.outbound import OutboundFailed, OutboundPolicy, OutboundRefused
from kernel.outbound_streams import AnswerTooLong, stream_client
from tests.peers.web_server import tls_site, web_site

LOOPBACK = OutboundPolicy.parse("127.0.0.0/8 ::1/128")


def get(url: str, *, policy: OutboundPolicy = LOOPBACK, max_bytes: int = 1_000) -> httpx2.Response:
    """One call; the answer with its body."""

    async def ask() -> httpx2.Response:
        async with stream_client(policy, max_bytes=max_bytes, timeout_seconds=5) as client:
            return await client.get(url)

    return asyncio.run(ask())


def resolving(*found: str) -> Callable[[str, int], list[Any]]:
    return lambda _host, _port: [ip_address(address) for address in found]


def test_a_listed_network_is_reached_by_the_name_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbound, "_resolve", resolving("10.0.0.1", "::1", "127.0.0.1"))
    with web_site() as site:
        assert get(site.url("/json", "hub.example")).json() == {"a": 1}

    assert site.requests == [("/json", f"hub.example:{site.port}")]


def test_private_networks_are_refused_and_redirects_not_followed() -> None:
    with web_site() as site:
        with pytest.raises(OutboundRefused):
            get(site.url("/json"), policy=OutboundPolicy())
        assert get(site.url("/to/http%3A%2F%2F10.0.0.1%2F")).status_code == 302


def test_an_answer_is_bounded_and_never_swells() -> None:
    with web_site() as site:
        for path in ("/large", "/gzip", "/bomb"):
            with pytest.raises(AnswerTooLong):
                get(site.url(path))
        assert len(get(site.url("/large"), max_bytes=100_000).content) == 100_000


def test_an_answer_of_brackets_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_streams, "MOST_OPENED", 0)
    with web_site() as site, pytest.raises(AnswerTooLong, match="lists and objects"):
        get(site.url("/json"))


def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_site() as site:
        url = site.url("/json")
    with pytest.raises(httpx2.ConnectError):
        get(url)
    with pytest.raises(OutboundFailed):
        get("https://no-such-host.invalid/")


@pytest.mark.parametrize("name", ["hub.example", "other.example"])
def test_the_certificate_must_be_of_the_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_resolve", resolving("127.0.0.1"))
    with tls_site("hub.example") as (port, trust):
        monkeypatch.setattr(outbound_streams, "_tls_context", lambda: trust)
        if name == "hub.example":
            assert get(f"https://{name}:{port}/json").json() == {"a": 1}
        else:
            with pytest.raises(httpx2.ConnectError):
                get(f"https://{name}:{port}/json")
