"""Where a request comes from: proxies are believed only when the operator listed them."""

from collections.abc import Sequence
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
# A chain of more hops than this is somebody playing.
MOST_HOPS: Final = 20


def client_address(*, peer: str, forwarded_for: str) -> str:
    """The client's address in its plain form; empty when there is none (a Unix socket).

    `peer` is the other end of the connection. `X-Forwarded-For` counts from the right, one hop for
    each proxy of `HUB_TRUSTED_PROXIES`: the first hop that is none of them is the client, and what
    stands left of it, which the client may have written itself, is never looked at. Asking again
    with the answer as `peer` answers the same.
    """
    if not forwarded_for:
        return _plain(peer)
    proxies: Sequence[Network] = settings.HUB_TRUSTED_PROXIES
    if not proxies:
        _warn_once()
        return _plain(peer)
    client = parse(peer)
    for hop in reversed(forwarded_for.split(",")[-MOST_HOPS:]):
        if client is None or not contains(proxies, client):
            break
        nearer = parse(hop)
        if nearer is None:
            break
        client = nearer
    return str(client) if client else ""


def is_proxy(peer: str) -> bool:
    """Whether the other end of a connection is one of `HUB_TRUSTED_PROXIES`."""
    found = parse(peer)
    return found is not None and contains(settings.HUB_TRUSTED_PROXIES, found)


@lru_cache(maxsize=4096)
def parse(text: str) -> Address | None:
    """The address in `text`, an IPv4 one that IPv6 carries as IPv4; None for anything else.

    Some proxies add a port, link-local addresses carry a zone: both are dropped.
    """
    bare = text.strip().partition("%")[0]
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    return (found.version == 6 and found.ipv4_mapped) or found


@lru_cache(maxsize=4096)
def household(text: str) -> str:
    """What one customer of a network has: an IPv4 address, or the /64 network of an IPv6 one.

    Whoever has one IPv6 address has 2 to the 64th; counted singly they would be no limit.
    """
    found = parse(text)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found) if found else ""


def contains(networks: Sequence[Network], address: Address) -> bool:
    """Whether one of `networks` holds `address`."""
    return any(address in network for network in networks if network.version == address.version)


def _plain(peer: str) -> str:
    found = parse(peer)
    return str(found) if found else ""


@cache
def _warn_once() -> None:
    # Everybody then shares the proxy's address: its limits, and its place in IP rules.
    log.warning("kernel.http.proxy_not_trusted", setting="HUB_TRUSTED_PROXIES")
