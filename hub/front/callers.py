"""Whose socket or stream this is, and what they may read. Blocking: go through `database.ask`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

from rest_framework.exceptions import NotAuthenticated
from rest_framework_simplejwt.tokens import AccessToken

from accounts import selectors
from accounts.errors import TokenRefused
from accounts.models import Session, User
from events import choices
from kernel.errors import Forbidden
from kernel.http.headers import CHALLENGE

# What the doors ask for: `/ws`, and the stream of a task.
CONNECT: Final = "event.read"
WATCH: Final = "task.read"

Rights: TypeAlias = tuple[frozenset[str], frozenset[str]]


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
    session = selectors.get_session(token=token, now=now)
    expiry = AccessToken(token)["exp"]  # type: ignore[arg-type]  # the library types its own class only
    caller = Caller(session.pk, session.user_id, session.organization_id, *_rights(session.user))
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
    """The callers of those sessions that are still good, with their rights of now; one query.

    Plain values and rights once for each role: a thousand sockets ask every few seconds, and while
    the answer is put together no event is delivered.
    """
    rows = Session.objects.filter(
        pk__in=session_ids,
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        organization__is_active=True,
    ).values_list("pk", "user_id", "organization_id", "user__role")
    rights: dict[str, Rights] = {}
    present: dict[UUID, Caller] = {}
    for session_id, user_id, organization_id, role in rows:
        if role not in rights:
            rights[role] = _rights(User(role=role, is_active=True))
        present[session_id] = Caller(session_id, user_id, organization_id, *rights[role])
    return present


def _rights(user: User) -> Rights:
    """The doors that `user` may pass, and the event types that they may read."""
    return (
        frozenset(door for door in (CONNECT, WATCH) if selectors.may(user=user, permission=door)),
        frozenset(
            kind.name
            for kind in choices.list_types()
            if selectors.may(user=user, permission=kind.permission)
        ),
    )
