"""Whose socket this is and what its owner may read. Blocking: call through `database.ask`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from rest_framework_simplejwt.tokens import AccessToken

from accounts import selectors
from accounts.models import Session
from events import choices
from kernel.errors import Forbidden

CONNECT: Final = "event.read"


@dataclass(frozen=True, slots=True)
class Caller:
    """The person behind a socket; `readable` are the names of the event types they may read."""

    session_id: UUID
    user_id: UUID
    organization_id: UUID
    readable: frozenset[str]


def authenticate(*, token: str, now: datetime) -> tuple[Caller, datetime]:
    """The caller and the moment when the access token ends.

    Raises TokenRefused, or Forbidden for somebody who may read no events.
    """
    session = selectors.get_session(token=token, now=now)
    if not selectors.may(user=session.user, permission=CONNECT):
        raise Forbidden
    expiry = AccessToken(token)["exp"]  # type: ignore[arg-type]  # the library types its own class only
    return _caller(session), datetime.fromtimestamp(int(expiry), UTC)


def list_present(*, session_ids: Collection[UUID], now: datetime) -> dict[UUID, Caller]:
    """The callers of those sessions that are still good, with their rights of now; one query."""
    sessions = Session.objects.select_related("user").filter(
        pk__in=session_ids,
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        organization__is_active=True,
    )
    return {
        session.pk: _caller(session)
        for session in sessions
        if selectors.may(user=session.user, permission=CONNECT)
    }


def _caller(session: Session) -> Caller:
    return Caller(
        session_id=session.pk,
        user_id=session.user_id,
        organization_id=session.organization_id,
        readable=frozenset(
            kind.name
            for kind in choices.list_types()
            if selectors.may(user=session.user, permission=kind.permission)
        ),
    )
