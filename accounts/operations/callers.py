"""Whose token is this: remembered between requests, so that most of them ask no database.

docs/decisions/0005-remembered-callers.md says why a revocation still counts at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.clients import stamps
from accounts.models import ApiKey, Session, User
from accounts.selectors import keys, network, people, sessions
from kernel import tenancy
from kernel.actors import Actor
from kernel.http.limits import PER_USER

# Also how late a change counts if its stamp could not be renewed.
KEPT: Final = timedelta(seconds=10)
MOST: Final = 10_000
# How exactly a session or key knows when it was last used: nobody writes a row for each request.
NOTED: Final = timedelta(minutes=1)
# A caller's user has no password to steal, and a login must not make everybody read anew.
COLUMNS: Final = tuple(
    field.attname
    for field in User._meta.concrete_fields
    if field.attname not in {"password", "last_login"}
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind an access token (`session_id`) or an API key (`key_id`).

    `user.rights` are those that count now: a key's are its owner's within its scopes. `mfa_at` is
    when the person last showed a second factor in the session; `rules` say from where it counts.
    """

    user: User
    session_id: UUID | None = None
    key_id: UUID | None = None
    key_name: str = ""
    mfa_at: datetime | None = None
    rules: network.Rules = network.OPEN
    # Requests a minute (`kernel.http.limits`).
    rate_limit: int = PER_USER

    def actor(self, *, ip_address: str | None = None, request_id: str = "") -> Actor:
        """Who acts, for operations and audit: a key is not its owner."""
        actor = people.actor_of(user=self.user, ip_address=ip_address, request_id=request_id)
        if self.key_id is None:
            return actor
        label = f"{self.key_name} of {self.user.email}"
        return replace(actor, type="key", id=str(self.key_id), label=label)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A caller as read at `read_at`, after `stamp`; `columns` are the user's values of COLUMNS."""

    known: Caller
    columns: Sequence[Any]
    stamp: bytes
    read_at: datetime
    ends_at: datetime

    @property
    def organization_id(self) -> UUID:
        """Whose stamp it goes by."""
        return self.known.user.organization_id

    def holds(self, now: datetime) -> bool:
        """Whether it is fresh enough, and no end has been passed."""
        return timedelta(0) <= now - self.read_at < KEPT and now < self.ends_at

    def caller(self) -> Caller:
        """A user of its own for each request: what a view does to it stays there."""
        user = User.from_db("default", COLUMNS, self.columns)
        user.rights = self.known.user.rights
        return replace(self.known, user=user)


class _Memory:
    """Bounded dictionaries by digest of token; the oldest entry goes first."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Remembered] = {}
        self._owners: dict[bytes, UUID] = {}
        self._lock = Lock()

    def get(self, token: str, now: datetime) -> _Remembered | None:
        """What is known of the token, if it may still be used."""
        found = self._known.get(_digest(token))
        return found if found and found.holds(now) else None

    def put(self, token: str, remembered: _Remembered) -> None:
        """Know it from now on."""
        self._keep(self._known, _digest(token), remembered)

    def owner(self, token: str) -> UUID | None:
        """The organization of an API key that was seen before; it never changes."""
        return self._owners.get(_digest(token))

    def put_owner(self, token: str, organization_id: UUID) -> None:
        """Know it from now on."""
        self._keep(self._owners, _digest(token), organization_id)

    def _keep(self, entries: dict[bytes, Any], digest: bytes, entry: Any) -> None:
        with self._lock:
            entries.pop(digest, None)
            while len(entries) >= MOST:
                del entries[next(iter(entries))]
            entries[digest] = entry


_memory = _Memory()


def identify(*, token: str, now: datetime) -> Caller:
    """The caller behind an access token or an API key; raises TokenRefused.

    Revocations, disabled accounts and changed roles count for the next call in every process.
    """
    known = _memory.get(token, now)
    if known and known.stamp == stamps.read(organization_id=known.organization_id):
        return known.caller()
    read = _read_key if token.startswith(keys.PREFIX) else _read_session
    return read(token, now)


def forget(*, organization_id: UUID) -> None:
    """Have every process read the organization's callers anew once this transaction commits.

    Every operation calls it that changes what decides who somebody is or what they may do; a test
    fails on one that does not (tests/forgetting.py).
    """
    transaction.on_commit(partial(stamps.renew, organization_id=organization_id))


def _read_session(token: str, now: datetime) -> Caller:
    claims = sessions.read_access_token(token=token)
    organization_id = UUID(claims["org"])
    # Before the rows: whatever changes after this line changes the stamp too.
    stamp = stamps.read(organization_id=organization_id)
    with tenancy.organization(organization_id):
        session = sessions.get_session(token=token, now=now)
        if now - session.last_seen_at >= NOTED:
            Session.objects.filter(pk=session.pk).update(last_seen_at=now)
    rules: Any = session.rules  # type: ignore[attr-defined]  # read along
    caller = Caller(
        session.user,
        session_id=session.pk,
        mfa_at=session.mfa_at,
        rules=network.prepare(rules),
        rate_limit=network.per_minute(session.rate_limit),  # type: ignore[attr-defined]
    )
    expiry = datetime.fromtimestamp(claims["exp"], UTC)
    _remember(token, caller, stamp, now, ends_at=min(session.expires_at, expiry))
    return caller


def _read_key(token: str, now: datetime) -> Caller:
    organization_id = _memory.owner(token)
    stamp = stamps.read(organization_id=organization_id) if organization_id else None
    with tenancy.platform():  # the key itself says whose it is
        key = keys.get_key(key=token, now=now)
        if key.last_used_at is None or now - key.last_used_at >= NOTED:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    key.user.rights = key.user.rights.within(keys.limit_of(scopes=key.scopes))
    rules: Any = key.rules  # type: ignore[attr-defined]  # read along
    caller = Caller(
        key.user,
        key_id=key.pk,
        key_name=key.name,
        rules=network.prepare(rules),
        rate_limit=network.per_minute(key.rate_limit),  # type: ignore[attr-defined]
    )
    # At first sight there is no stamp from before the row, so it is read once more.
    _memory.put_owner(token, key.organization_id)
    _remember(token, caller, stamp, now, ends_at=key.expires_at or datetime.max.replace(tzinfo=UTC))
    return caller


def _remember(
    token: str, caller: Caller, stamp: bytes | None, now: datetime, *, ends_at: datetime
) -> None:
    if stamp is None:
        return
    columns = tuple(getattr(caller.user, column) for column in COLUMNS)
    _ = caller.user.rights  # worked out once, for all who are made from it
    _memory.put(token, _Remembered(caller, columns, stamp, now, ends_at))


def _digest(token: str) -> bytes:
    """Instead of the token, which would open the API to whoever reads this memory."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
