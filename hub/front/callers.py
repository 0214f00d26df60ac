"""Whose socket or stream this is, and what they may read. Blocking: go through `database.ask`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

from rest_framework.exceptions import NotAuthenticated
from rest_framework_simplejwt.tokens import AccessToken

from accounts.errors import TokenRefused
from accounts.models import Session
from accounts.models.rights import Rights
from accounts.selectors import rights, sessions
from events import choices
from kernel.errors import Forbidden
from kernel.http.headers import CHALLENGE

# What the doors ask for: `/ws`, and the stream of a task.
CONNECT: Final = "event.read"
WATCH: Final = "task.read"

Readable: TypeAlias = tuple[frozenset[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The person behind a socket or stream.

    `doors` are those they may pass, `readable` the names of the event types they may read.
    """

    session_id: UUID
    user_id: UUID
    organization_id: UUID
    doors: frozenset[str]
    readable: frozenset[str]


def authenticate(*, token: str, now: datetime) -> tuple[Caller, datetime]:
    """The caller and the moment when the access token ends.

    Raises TokenRefused, or Forbidden for somebody who may read no events.
    """
    caller, expiry = identify(token=token, now=now)
    if CONNECT not in caller.doors:
        raise Forbidden
    return caller, expiry


def identify(*, token: str, now: datetime) -> tuple[Caller, datetime]:
    """The same, whatever they may do. Raises TokenRefused."""
    session = sessions.get_session(token=token, now=now)
    expiry = AccessToken(token)["exp"]  # type: ignore[arg-type]  # the library types its own class only
    caller = Caller(
        session.pk, session.user_id, session.organization_id, *_readable(session.user.rights)
    )
    return caller, datetime.fromtimestamp(int(expiry), UTC)


def bearer_token(header: str) -> str:
    """The token in an `Authorization` header. Raises NotAuthenticated without one (401)."""
    scheme, _, token = header.partition(" ")
    if not scheme:
        stranger = NotAuthenticated()
        stranger.auth_header = CHALLENGE  # type: ignore[attr-defined]  # as DRF's views do
        raise stranger
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("Send `Authorization: Bearer <token>`.")
    return token.strip()


def list_present(*, session_ids: Collection[UUID], now: datetime) -> dict[UUID, Caller]:
    """The callers of those sessions that are still good, with their rights of now; two queries.

    Plain values, and what they may read once for all with the same rights: a thousand sockets ask
    every few seconds, and while the answer is put together no event is delivered.
    """
    rows = Session.objects.filter(
        pk__in=session_ids,
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        organization__is_active=True,
    ).values_list("pk", "user_id", "organization_id")
    people = list(rows)
    held_by = rights.find_rights(user_ids={user_id for _, user_id, _ in people})
    read: dict[Rights, Readable] = {}
    present: dict[UUID, Caller] = {}
    for session_id, user_id, organization_id in people:
        held = held_by[user_id]
        if held not in read:
            read[held] = _readable(held)
        present[session_id] = Caller(session_id, user_id, organization_id, *read[held])
    return present


def _readable(rights: Rights) -> Readable:
    """The doors that somebody with `rights` may pass, and the event types that they may read."""
    return (
        frozenset(door for door in (CONNECT, WATCH) if rights.hold(door)),
        frozenset(kind.name for kind in choices.list_types() if rights.hold(kind.permission)),
    )
