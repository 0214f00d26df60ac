"""What a provider publishes and answers: fetched within bounds, past the guard, kept a while."""

import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings

from kernel import outbound
from kernel.errors import DomainError
from kernel.outbound import OutboundPolicy, Reply
from sso.choices import ISSUER_LENGTH, is_address
from sso.clients.places import Places
from sso.errors import ProviderUnavailable

log = structlog.get_logger(__name__)
MAX_BYTES: Final = 256_000
CALL_SECONDS: Final = 4.0
# Of one request to the hub with everything it asks the provider; a transaction may wait for it, and
# PostgreSQL ends one that is idle for 10 s.
BUDGET_SECONDS: Final = 8.0
# How late a new endpoint or a withdrawn key counts.
KEPT_SECONDS: Final = 600.0
# How long a failed document is not asked for again: a silent provider costs a thread for each.
FAILED_SECONDS: Final = 15.0
MOST: Final = 200
WELL_KNOWN: Final = "/.well-known/openid-configuration"
# Fixed to signatures with a key of the provider's own: neither `none` nor one with our secret,
# whatever a token or a discovery document says (RFC 8725 §3.1).
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")


@dataclass(frozen=True, slots=True)
class Metadata:
    """A provider's discovery document (OpenID Connect Discovery 1.0 §3), as far as we use it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    algorithms: tuple[str, ...]
    takes_basic: bool
    # RFC 9207: its answers name the issuer.
    names_issuer: bool


class Line:
    """The calls of one request: they share a budget of time and one place.

    Raises ProviderUnavailable, and ProviderBusy where all places are taken. `anew`: whatever is
    kept of earlier calls does not count.
    """

    def __init__(self, organization_id: UUID, *, anew: bool = False) -> None:
        self._ends_at = time.monotonic() + BUDGET_SECONDS
        self._organization_id = organization_id
        self._anew = anew
        self._has_place = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep one place for all calls of the block; without it each takes one."""
        if self._has_place:
            yield
            return
        with _places.one(self._organization_id):
            self._has_place = True
            try:
                yield
            finally:
                self._has_place = False

    def call(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Reply:
        """One call; redirects are not followed."""
        with self.hold():
            return self._call(method, url, headers, content)

    def read(self, url: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A JSON object."""
        reply = self.call("GET", url, headers=headers or {})
        if reply.status != 200:
            raise failure(url, f"status_{reply.status}")
        return decode(reply)

    def keys(self, metadata: Metadata, *, anew: bool = False) -> list[Any]:
        """The provider's public keys (RFC 7517), as they were at most KEPT_SECONDS ago.

        `anew`: as they are now, unless that failed just before.
        """
        url = metadata.jwks_uri
        found: list[Any] = self._find(url, lambda: self._read_keys(url), anew=anew)
        return found

    def discover(self, issuer: str) -> Metadata:
        """What the provider at `issuer` publishes of itself; kept as long."""
        url = issuer.rstrip("/") + WELL_KNOWN
        found: Metadata = self._find(url, lambda: _understand(self.read(url), url, issuer))
        return found

    def _find(self, url: str, read: Callable[[], Any], *, anew: bool = False) -> Any:
        # By organization: one could make another's address fail, at the end of its own budget.
        failed = (self._organization_id, url)
        if not self._anew:
            kept = None if anew else _kept.get(url)
            if kept is not None:
                return kept
            if reason := _failed.get(failed):
                raise ProviderUnavailable(url=url, reason=reason)
        try:
            document = read()
        except ProviderUnavailable as error:
            _failed.put(failed, error.reason)
            raise
        _kept.put(url, document)
        _failed.drop(failed)
        return document

    def _read_keys(self, url: str) -> list[Any]:
        keys = self.read(url).get("keys")
        if not isinstance(keys, list):
            raise failure(url, "no_keys")
        return keys

    def _call(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        left = min(CALL_SECONDS, self._ends_at - time.monotonic())
        if left <= 0:
            raise failure(url, "out_of_time")
        policy = OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW)
        try:
            with outbound.sync_client(policy, timeout_seconds=left) as client:
                reply = outbound.fetch(
                    client,
                    method,
                    url,
                    headers={"accept": "application/json", **headers},
                    content=content,
                    max_bytes=MAX_BYTES,
                    deadline_seconds=left,
                )
        except DomainError as refusal:
            raise failure(url, refusal.code) from None
        if reply.truncated:
            raise failure(url, "too_large")
        return reply


class _Kept:
    """What was found, with when that was (monotonic seconds); bounded."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[Hashable, tuple[float, Any]] = {}
        self._lock = Lock()

    def get(self, key: Hashable) -> Any:
        """What was found; None if that is too long ago."""
        found_at, found = self._entries.get(key, (float("-inf"), None))
        return found if time.monotonic() - found_at < self._seconds else None

    def put(self, key: Hashable, found: Any) -> None:
        """Keep it; the oldest goes first."""
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= MOST:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (time.monotonic(), found)

    def drop(self, key: Hashable) -> None:
        """Keep that no longer."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._entries.clear()


_kept = _Kept(KEPT_SECONDS)
# Why a document could not be had, by organization and address.
_failed = _Kept(FAILED_SECONDS)
_places = Places()


def forget() -> None:
    """Read every document anew when it is needed next."""
    _kept.clear()
    _failed.clear()


def failure(url: str, reason: str) -> ProviderUnavailable:
    """The refusal for people; the log has the reason, and whoever asks for a check hears it."""
    log.warning("sso.provider.failed", url=url, reason=reason)
    return ProviderUnavailable(url=url, reason=reason)


def decode(reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer."""
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise failure(reply.url, "no_json_object")
    return found


def _understand(found: Mapping[str, Any], url: str, issuer: str) -> Metadata:
    named = _text(found, "issuer", url)
    # Core §4.3: the same, but for the slash that people leave out.
    if named.rstrip("/") != issuer.rstrip("/") or len(named) > ISSUER_LENGTH:
        raise failure(url, "issuer_differs")
    offered = found.get("id_token_signing_alg_values_supported", ["RS256"])
    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    userinfo = found.get("userinfo_endpoint")
    return Metadata(
        issuer=named,
        authorization_endpoint=_address(found, "authorization_endpoint", url),
        token_endpoint=_address(found, "token_endpoint", url),
        jwks_uri=_address(found, "jwks_uri", url),
        userinfo_endpoint=_address(found, "userinfo_endpoint", url) if userinfo else "",
        algorithms=tuple(name for name in ALGORITHMS if name in _listed(offered)),
        takes_basic="client_secret_basic" in _listed(methods),
        names_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _text(found: Mapping[str, Any], name: str, url: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise failure(url, f"no_{name}")
    return value


def _address(found: Mapping[str, Any], name: str, url: str) -> str:
    value = _text(found, name, url)
    if not is_address(value) or not value.isprintable():
        raise failure(url, f"bad_{name}")
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
