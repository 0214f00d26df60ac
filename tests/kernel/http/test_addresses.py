"""Whose address a request has."""

from ipaddress import ip_network

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from kernel.http import addresses
from kernel.http.addresses import client_address, parse
from kernel.http.middleware import RequestContext

PROXIES = ("10.0.0.0/8", "2001:db8:aa::/48", "127.0.0.1/32")


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    settings.HUB_TRUSTED_PROXIES = tuple(map(ip_network, PROXIES))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),  # nobody that we believe
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 192.0.2.1", "192.0.2.1"),  # the left one is hearsay
        ("10.0.0.1", "192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),  # a client within the proxies' network
        ("10.0.0.1", "junk", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1, junk", "10.0.0.1"),
        ("10.0.0.1", "junk, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", ",,", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1:5123", "192.0.2.1"),
        ("10.0.0.1", "[2001:db8::1]:5123", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:aa::1", "2001:db8:bb::1", "2001:db8:bb::1"),
        ("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("10.0.0.1", ", ".join(["192.0.2.1"] + ["10.0.0.2"] * 100), "10.0.0.2"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("", "198.51.100.9", ""),
        ("", "", ""),
    ],
)
def test_the_first_hop_that_is_no_proxy_is_the_client(
    peer: str, forwarded: str, client: str
) -> None:
    found = client_address(peer=peer, forwarded_for=forwarded)

    assert found == client
    assert client_address(peer=found, forwarded_for=forwarded) == client


def test_without_a_list_nobody_is_believed(settings: Settings) -> None:
    settings.HUB_TRUSTED_PROXIES = ()

    assert client_address(peer="127.0.0.1", forwarded_for="198.51.100.9") == "127.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "1.2.3.4.5", "[::1", "0x7f.1", "٣.1.1.1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None or text == "[::1"


@pytest.mark.parametrize(
    ("address", "household"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("", ""),
        ("nobody", ""),
    ],
)
def test_limits_count_what_one_customer_has(address: str, household: str) -> None:
    assert addresses.household(address) == household


@pytest.mark.parametrize(
    ("peer", "listed", "is_secure"),
    [
        ("10.0.0.1", PROXIES, True),
        ("::ffff:10.0.0.1", PROXIES, True),
        ("192.0.2.1", PROXIES, False),
        ("10.0.0.1", (), False),
        ("", PROXIES, False),
    ],
)
def test_only_a_proxy_says_that_a_request_came_over_tls(
    rf: RequestFactory, settings: Settings, peer: str, listed: tuple[str, ...], *, is_secure: bool
) -> None:
    settings.HUB_TRUSTED_PROXIES = tuple(map(ip_network, listed))
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9"}
    seen: list[bool] = []

    def answer(request: HttpRequest) -> HttpResponse:
        seen.append(request.is_secure())
        return HttpResponse()

    RequestContext(answer)(rf.get("/", headers=headers, REMOTE_ADDR=peer))

    assert seen == [is_secure]
