"""Which addresses the hub calls, and how little a hostile answer can cost."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import outbound
from kernel.outbound import (
    OutboundFailed,
    OutboundPolicy,
    OutboundRefused,
    OutboundTimedOut,
    Reply,
    is_public,
)
from tests.peers.web_server import Site, tls_site, web_site

LOOPBACK = OutboundPolicy.parse("127.0.0.0/8")
NOTHING = OutboundPolicy()
PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "93.184.215.14",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.fixture(name="site", scope="module")
def _site() -> Iterator[Site]:
    with web_site() as site:
        yield site


def blocking(policy: OutboundPolicy, url: str, **options: Any) -> Reply:
    with outbound.sync_client(policy, timeout_seconds=20) as client:
        return outbound.fetch(client, options.pop("method", "GET"), url, **options)


def asynchronous(policy: OutboundPolicy, url: str, **options: Any) -> Reply:
    async def go() -> Reply:
        async with outbound.async_client(policy, timeout_seconds=20) as client:
            return await outbound.fetch_async(client, options.pop("method", "GET"), url, **options)

    return asyncio.run(go())


Fetch = Callable[..., Reply]
both = pytest.mark.parametrize("fetch", [blocking, asynchronous])


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name has these addresses."""
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: entries)


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not NOTHING.permits(ip_address(text), scheme="https")


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_over_https_only(text: str) -> None:
    assert is_public(ip_address(text))
    assert NOTHING.permits(ip_address(text), scheme="https")
    assert not NOTHING.permits(ip_address(text), scheme="http")


def test_listed_networks_are_reached_over_http_too() -> None:
    policy = OutboundPolicy.parse("10.0.0.0/8, fd00::/8 127.0.0.1")

    assert policy.permits(ip_address("10.9.9.9"), scheme="http")
    assert policy.permits(ip_address("::ffff:10.9.9.9"), scheme="http")
    assert policy.permits(ip_address("fd00::5"), scheme="https")
    assert not policy.permits(ip_address("127.0.0.2"), scheme="https")
    assert not policy.permits(ip_address("64:ff9b::a09:909"), scheme="https")


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        OutboundPolicy.parse("10.0.0.1/8")


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_wrapping_never_makes_an_address_more_public(number: int) -> None:
    plain = IPv4Address(number)

    wrapped = [
        IPv6Address(0xFFFF_0000_0000 | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
    ]

    assert {is_public(address) for address in wrapped} == {is_public(plain)}


@settings(deadline=None)
@given(st.integers(0, 2**128 - 1))
def test_only_global_unicast_is_public(number: int) -> None:
    address = IPv6Address(number)

    if is_public(address):
        holders = map(ip_network, ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96"))
        assert any(address in network for network in holders)


@both
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]"],
)
def test_loopback_is_refused_however_it_is_written(fetch: Fetch, host: str, site: Site) -> None:
    before = len(site.requests)

    with pytest.raises(OutboundRefused):
        fetch(NOTHING, site.url("/text", host))

    assert len(site.requests) == before


@both
@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/", "file:///etc/passwd", "http://", "//x", "gopher://x", "http://\x00"],
)
def test_other_schemes_are_refused(fetch: Fetch, url: str) -> None:
    with pytest.raises(OutboundRefused):
        fetch(LOOPBACK, url)


@both
def test_a_listed_network_is_reached(fetch: Fetch, site: Site) -> None:
    reply = fetch(LOOPBACK, site.url("/text"))

    assert (reply.status, reply.text, reply.truncated) == (200, "caf\u00e9", False)
    assert reply.content_type == "text/plain; charset=iso-8859-1"


@both
def test_plain_http_to_a_public_address_is_refused(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving_to(monkeypatch, "8.8.8.8")

    with pytest.raises(OutboundRefused, match="Plain http is allowed to listed networks only"):
        fetch(NOTHING, "http://example.org/")


@both
def test_a_name_is_resolved_once_and_the_judged_address_is_called(
    fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "8.8.8.8"])

    def rebind(*_args: Any, **_kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    real = socket.getaddrinfo

    def only_names(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return rebind() if name == "hub.example" else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_names)

    reply = fetch(LOOPBACK, site.url("/text", "hub.example"))

    assert reply.url == site.url("/text", "hub.example")
    assert site.requests[-1] == ("/text", f"hub.example:{site.port}")
    assert next(answers) == "8.8.8.8"


@both
def test_a_permitted_address_among_others_is_used(
    fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = OutboundPolicy.parse("127.0.0.0/8 ::1/128")
    found = [ip_address("10.0.0.1"), ip_address("::1"), ip_address("127.0.0.1")]
    monkeypatch.setattr(outbound, "_resolve", lambda _host, _port: found)

    assert fetch(policy, site.url("/json", "hub.example")).body == b'{"a": 1}'


@both
def test_a_redirect_is_followed_only_when_asked_for(fetch: Fetch, site: Site) -> None:
    url = site.url("/to//json")

    plain = fetch(LOOPBACK, url)
    followed = fetch(LOOPBACK, url, follow_redirects=True)

    assert (plain.status, plain.headers["location"]) == (302, "/json")
    assert (followed.status, followed.url) == (200, site.url("/json"))


@both
def test_a_redirect_into_a_private_network_is_refused(fetch: Fetch, site: Site) -> None:
    url = site.url("/to/http://169.254.169.254/latest/meta-data")

    with pytest.raises(OutboundRefused):
        fetch(LOOPBACK, url, follow_redirects=True)


@both
def test_redirects_end(fetch: Fetch, site: Site) -> None:
    with pytest.raises(OutboundFailed, match="more than 5 times"):
        fetch(LOOPBACK, site.url("/loop"), follow_redirects=True)


@both
@pytest.mark.parametrize(("path", "body"), [("/gzip", b"hello " * 10), ("/deflate", b"hello")])
def test_compressed_answers_are_read(fetch: Fetch, site: Site, path: str, body: bytes) -> None:
    assert fetch(LOOPBACK, site.url(path)).body == body


@both
@pytest.mark.parametrize("path", ["/bomb", "/large"])
def test_a_body_is_cut_at_the_limit(fetch: Fetch, site: Site, path: str) -> None:
    reply = fetch(LOOPBACK, site.url(path), max_bytes=1000)

    assert (len(reply.body), reply.truncated) == (1000, True)


@both
def test_a_body_of_exactly_the_limit_is_whole(fetch: Fetch, site: Site) -> None:
    reply = fetch(LOOPBACK, site.url("/large"), max_bytes=100_000)

    assert (len(reply.body), reply.truncated) == (100_000, False)


@both
@pytest.mark.parametrize(
    ("path", "says"), [("/damaged", "damaged compressed"), ("/brotli", "not asked for")]
)
def test_what_cannot_be_decoded_fails(fetch: Fetch, site: Site, path: str, says: str) -> None:
    with pytest.raises(OutboundFailed, match=says):
        fetch(LOOPBACK, site.url(path))


@both
@pytest.mark.parametrize("path", ["/drip", "/silent"])
def test_slow_answers_end_at_the_deadline(fetch: Fetch, site: Site, path: str) -> None:
    with pytest.raises(OutboundTimedOut):
        fetch(LOOPBACK, site.url(path), deadline_seconds=0.6)


@both
def test_nobody_listening_and_no_such_name(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(OutboundFailed, match="could not be reached"):
        fetch(LOOPBACK, f"http://127.0.0.1:{port}/")
    with pytest.raises(OutboundFailed, match="could not be resolved"):
        fetch(LOOPBACK, "http://name.invalid/")


def test_proxies_of_the_environment_are_ignored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert blocking(LOOPBACK, site.url("/json")).status == 200


def test_errors_name_no_address_that_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "10.20.30.40")

    with pytest.raises(OutboundRefused) as refused:
        blocking(NOTHING, "https://intranet.example/")

    assert "10.20" not in refused.value.detail
    assert (refused.value.code, refused.value.status) == ("outbound.refused", 422)


def test_an_unknown_charset_is_read_as_utf8(site: Site) -> None:
    assert blocking(LOOPBACK, site.url("/charset")).text == "abc"


def test_the_clients_serve_libraries_that_bring_their_own_calls(site: Site) -> None:
    with outbound.sync_client(NOTHING) as client, pytest.raises(OutboundRefused):
        client.get(site.url("/json"))

    with outbound.sync_client(LOOPBACK) as client:
        assert client.post(site.url("/json"), json={}).json() == {"a": 1}
        assert isinstance(client, httpx.Client)


@pytest.mark.parametrize(("name", "works"), [("hub.example", True), ("other.example", False)])
def test_the_certificate_must_be_of_the_name_not_the_address(
    name: str,
    works: bool,  # noqa: FBT001 - a table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tls_site("hub.example") as (port, trust):
        monkeypatch.setattr(outbound, "_tls_context", lambda: trust)
        monkeypatch.setattr(outbound, "_resolve", lambda _host, _port: [ip_address("127.0.0.1")])

        if works:
            assert blocking(LOOPBACK, f"https://{name}:{port}/json").body == b'{"a": 1}'
        else:
            with pytest.raises(OutboundFailed):
                blocking(LOOPBACK, f"https://{name}:{port}/json")
