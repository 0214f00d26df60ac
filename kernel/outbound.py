"""HTTP to addresses that people or models name: private networks stay out of reach.

The host is resolved here, every address is judged, and the connection goes to the judged address,
so a name that changes its answer between check and connect gains nothing (DNS rebinding).
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

import httpx

from kernel import deadlines
from kernel.errors import DomainError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MAX_REDIRECTS: Final = 5
MAX_ADDRESSES: Final = 3
DEFAULT_MAX_BYTES: Final = 1_000_000
DEFAULT_TIMEOUT_SECONDS: Final = 10.0
# RFC 6052 and RFC 3056: the address inside is where the packet ends up.
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
# Documentation networks newer than Python 3.11's tables (RFC 9637) and the relay of RFC 7526.
_NEVER_PUBLIC: Final[tuple[Network, ...]] = (
    IPv6Network("3fff::/20"),
    IPv4Network("192.88.99.0/24"),
)
_INFLATE: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class OutboundRefused(DomainError):
    """The hub may not connect there."""

    code = "outbound.refused"
    status = 422
    message = "The hub may not connect to this address."


class OutboundFailed(DomainError):
    """The other side could not be reached or broke off."""

    code = "outbound.failed"
    status = 502
    message = "The other side could not be reached. Check the address and try again."


class OutboundTimedOut(OutboundFailed):
    """The other side did not answer in time."""

    code = "outbound.timed_out"
    status = 504
    message = "The other side did not answer in time. Try again later."


class OutboundUnusable(OutboundFailed):
    """There is no such host, or its answer makes no sense: it is not down."""


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Which networks may be reached although they are not public (`HUB_OUTBOUND_ALLOW`)."""

    allowed_networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "OutboundPolicy":
        """From CIDRs separated by commas or blanks; raises ValueError naming the wrong one."""
        return cls(tuple(ip_network(word) for word in text.replace(",", " ").split()))

    def lists(self, address: Address) -> bool:
        """Whether the operator named a network that holds `address`."""
        plain = _unmapped(address)
        return any(
            plain in network
            for network in self.allowed_networks
            if network.version == plain.version
        )

    def permits(self, address: Address, *, scheme: str) -> bool:
        """Listed networks always; public addresses over https only (decision 7)."""
        return self.lists(address) or (scheme == "https" and is_public(address))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its body decoded from gzip or deflate and cut at the limit asked for."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    truncated: bool

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def text(self) -> str:
        """The body in the charset of its content type, UTF-8 without one; bad bytes replaced."""
        charset = httpx.Response(200, headers={"content-type": self.content_type}).charset_encoding
        try:
            return self.body.decode(charset or "utf-8", errors="replace")
        except LookupError:
            return self.body.decode(errors="replace")


def is_public(address: Address) -> bool:
    """Whether `address` is an ordinary host of the public internet, also when it is wrapped."""
    plain = _unmapped(address)
    if isinstance(plain, IPv4Address):
        return _is_public_unicast(plain)
    if plain in _NAT64:
        return _is_public_unicast(IPv4Address(int(plain) & 0xFFFF_FFFF))
    if plain in _SIX_TO_FOUR:
        return _is_public_unicast(IPv4Address((int(plain) >> 80) & 0xFFFF_FFFF))
    return plain.scope_id is None and plain in _GLOBAL_UNICAST and _is_public_unicast(plain)


def async_client(
    policy: OutboundPolicy, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> httpx.AsyncClient:
    """A guarded client; the timeout is for each wait, redirects are followed only when asked for.

    Proxies of the environment are ignored: a proxy would resolve the name anew, unguarded.
    """
    return httpx.AsyncClient(
        transport=GuardedAsyncTransport(policy),
        timeout=timeout_seconds,
        max_redirects=MAX_REDIRECTS,
        trust_env=False,
    )


def sync_client(
    policy: OutboundPolicy, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> httpx.Client:
    """The blocking twin of `async_client`; `fetch` adds a deadline."""
    return httpx.Client(
        transport=GuardedTransport(policy),
        timeout=timeout_seconds,
        max_redirects=MAX_REDIRECTS,
        trust_env=False,
    )


async def pinned_addresses(policy: OutboundPolicy, url: httpx.URL) -> list[Address]:
    """Where `url` may be reached, for a client of another library that connects there itself.

    Raises OutboundRefused or OutboundFailed.
    """
    host, port = _target(url)
    found = await asyncio.get_running_loop().run_in_executor(None, _resolve, host, port)
    return _permitted(policy, url, found)


async def fetch_async(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    follow_redirects: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    deadline_seconds: float = 30,
) -> Reply:
    """One call within `deadline_seconds` altogether, at most `max_bytes` of body.

    Raises OutboundRefused, OutboundFailed or OutboundTimedOut.
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            request = _request(client, method, url, headers, content)
            answer = await client.send(request, stream=True, follow_redirects=follow_redirects)
            try:
                body = _BoundedBody(answer, max_bytes)
                async for chunk in answer.aiter_raw():
                    if body.is_full_after(chunk):
                        break
            finally:
                await answer.aclose()
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _outcome(error) from None
    return body.reply()


def fetch(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    follow_redirects: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    deadline_seconds: float = 30,
) -> Reply:
    """The blocking twin of `fetch_async`.

    The deadline bounds everything together, from the look-up of the name to the last byte, however
    the other side drips. Only the look-up itself goes on, on a thread of its own, until the
    resolver gives it up.
    """
    try:
        with deadlines.within(deadline_seconds):
            request = _request(client, method, url, headers, content)
            answer = client.send(request, stream=True, follow_redirects=follow_redirects)
            try:
                body = _BoundedBody(answer, max_bytes)
                for chunk in answer.iter_raw():
                    if body.is_full_after(chunk):
                        break
            finally:
                answer.close()
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _outcome(error) from None
    return body.reply()


class GuardedAsyncTransport(httpx.AsyncBaseTransport):
    """Judges and pins the address of every request, each hop of a redirect included."""

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy
        self._inner = httpx.AsyncHTTPTransport(verify=_tls_context(), limits=_one_call_each())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pinned = _pinned(request, await pinned_addresses(self._policy, request.url))
        for attempt in pinned[:-1]:
            try:
                return await self._inner.handle_async_request(attempt)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(pinned[-1])

    async def aclose(self) -> None:
        await self._inner.aclose()


class GuardedTransport(httpx.BaseTransport):
    """The blocking twin of `GuardedAsyncTransport`."""

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy
        self._inner = deadlines.Transport(_tls_context(), _one_call_each())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host, port = _target(request.url)
        found = deadlines.wait_for(("resolve", host, port), lambda: _resolve(host, port))
        pinned = _pinned(request, _permitted(self._policy, request.url, found))
        for attempt in pinned[:-1]:
            try:
                return self._inner.handle_request(attempt)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return self._inner.handle_request(pinned[-1])

    def close(self) -> None:
        self._inner.close()


class _BoundedBody:
    """Decodes as it reads and never holds more than the limit: a small gzip can hide gigabytes."""

    def __init__(self, answer: httpx.Response, max_bytes: int) -> None:
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        if coding not in {*_INFLATE, "identity", ""}:
            raise OutboundUnusable("The other side answered in an encoding that was not asked for.")
        self._answer = answer
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._truncated = False
        self._inflate = zlib.decompressobj(_INFLATE[coding]) if coding in _INFLATE else None

    def is_full_after(self, chunk: bytes) -> bool:
        room = self._max_bytes - len(self._body)
        if self._inflate:
            try:
                # One byte more than fits tells a full body from a cut one.
                chunk = self._inflate.decompress(chunk, room + 1)
            except zlib.error:
                raise OutboundUnusable("The other side sent a damaged compressed answer.") from None
        self._body += chunk[:room]
        self._truncated = len(chunk) > room
        return self._truncated

    def reply(self) -> Reply:
        return Reply(
            status=self._answer.status_code,
            url=str(self._answer.url.copy_with(username=None, password=None)),
            headers=self._answer.headers,
            body=bytes(self._body),
            truncated=self._truncated,
        )


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _is_public_unicast(address: Address) -> bool:
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in net for net in _NEVER_PUBLIC if net.version == address.version)
    )


def _target(url: httpx.URL) -> tuple[str, int]:
    if url.scheme not in {"http", "https"} or not url.host:
        raise OutboundRefused("Only http and https addresses can be called. Check the address.")
    return url.raw_host.decode("ascii").strip("[]"), url.port or (
        443 if url.scheme == "https" else 80
    )


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutboundUnusable("The host name could not be resolved. Check the address.") from None
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


def _permitted(policy: OutboundPolicy, url: httpx.URL, found: Sequence[Address]) -> list[Address]:
    permitted = [address for address in found if policy.permits(address, scheme=url.scheme)]
    if permitted:
        return permitted[:MAX_ADDRESSES]
    # One sentence for every private answer: which address a name has inside is not for strangers.
    if url.scheme == "http" and any(is_public(address) for address in found):
        raise OutboundRefused(
            "Plain http is allowed to listed networks only. Use https, or ask the operator to list"
            " the network in HUB_OUTBOUND_ALLOW."
        )
    raise OutboundRefused(
        "The hub may not connect to private or reserved addresses. Ask the operator to list the"
        " network in HUB_OUTBOUND_ALLOW."
    )


def _pinned(request: httpx.Request, addresses: Sequence[Address]) -> list[httpx.Request]:
    return [
        httpx.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,  # Host still names the original.
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": _target(request.url)[0]},
        )
        for address in addresses
    ]


def _request(
    client: httpx.Client | httpx.AsyncClient,
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    content: bytes | None,
) -> httpx.Request:
    request = client.build_request(method, url, headers=dict(headers or {}), content=content)
    request.headers["accept-encoding"] = "gzip, deflate"
    return request


def _outcome(error: Exception) -> OutboundFailed | OutboundRefused:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return OutboundTimedOut()
    if isinstance(error, httpx.TooManyRedirects):
        return OutboundUnusable(f"The other side redirected more than {MAX_REDIRECTS} times.")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return OutboundRefused("The address is not a valid http or https URL. Check it.")
    return OutboundFailed()


def _one_call_each() -> httpx.Limits:
    # The pool knows connections by pinned address: kept alive, one opened (and its certificate
    # checked) for a first name would serve a second name on the same address.
    return httpx.Limits(max_keepalive_connections=0)


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
