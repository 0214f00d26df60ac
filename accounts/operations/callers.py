"""Whose token is this: remembered between requests, so that most of them ask no database.

docs/decisions/0005-remembered-callers.md says why a revocation still counts at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.clients import stamps
from accounts.models import Session, User
from accounts.models.rights import Rights
from accounts.selectors import sessions

# Also how late a change counts if its stamp could not be renewed.
KEPT: Final = timedelta(seconds=10)
MOST: Final = 10_000
# A caller's user has no password to steal, and a login must not make everybody read anew.
COLUMNS: Final = tuple(
    field.attname
    for field in User._meta.concrete_fields
    if field.attname not in {"password", "last_login"}
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind an access token."""

    session_id: UUID
    user: User


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A caller as read at `read_at`, after `stamp`; `user` holds the values of COLUMNS."""

    session_id: UUID
    organization_id: UUID
    user: Sequence[Any]
    rights: Rights
    stamp: bytes
    read_at: datetime
    ends_at: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is fresh enough, and no end has been passed."""
        return timedelta(0) <= now - self.read_at < KEPT and now < self.ends_at

    def caller(self) -> Caller:
        """A user of its own for each request: what a view does to it stays there."""
        user = User.from_db("default", COLUMNS, self.user)
        user.rights = self.rights
        return Caller(self.session_id, user)


class _Memory:
    """A bounded dictionary by digest of token; the oldest goes first."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Remembered] = {}
        self._lock = Lock()

    def get(self, token: str, now: datetime) -> _Remembered | None:
        """What is known of the token, if it may still be used."""
        found = self._known.get(_digest(token))
        return found if found and found.holds(now) else None

    def put(self, token: str, remembered: _Remembered) -> None:
        """Know it from now on."""
        with self._lock:
            self._known.pop(_digest(token), None)
            while len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[_digest(token)] = remembered


_memory = _Memory()


def identify(*, token: str, now: datetime) -> Caller:
    """The caller behind an access token; raises TokenRefused.

    Revocations, disabled accounts and changed roles count for the next call in every process.
    """
    known = _memory.get(token, now)
    if known and known.stamp == stamps.read(organization_id=known.organization_id):
        return known.caller()
    claims = sessions.read_access_token(token=token)
    organization_id = UUID(claims["org"])
    # Before the rows: whatever changes after this line changes the stamp too.
    stamp = stamps.read(organization_id=organization_id)
    session = sessions.get_session(token=token, now=now)
    if stamp is not None:
        remembered = _remember(session, stamp, claims["exp"], now)
        _memory.put(token, remembered)
    return Caller(session.pk, session.user)


def forget(*, organization_id: UUID) -> None:
    """Have every process read the organization's callers anew once this transaction commits.

    Every operation calls it that changes a session, user or organization in what counts here.
    """
    transaction.on_commit(partial(stamps.renew, organization_id=organization_id))


def _remember(session: Session, stamp: bytes, expiry: int, now: datetime) -> _Remembered:
    return _Remembered(
        session_id=session.pk,
        organization_id=session.organization_id,
        user=tuple(getattr(session.user, column) for column in COLUMNS),
        rights=session.user.rights,
        stamp=stamp,
        read_at=now,
        ends_at=min(session.expires_at, datetime.fromtimestamp(expiry, UTC)),
    )


def _digest(token: str) -> bytes:
    """Instead of the token, which would open the API to whoever reads this memory."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
