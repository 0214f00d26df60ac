"""Whose socket or stream this is, and what they may read. Blocking: go through `database.ask`."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

from django.db.models import Q
from rest_framework.exceptions import NotAuthenticated
from starlette.requests import HTTPConnection

from accounts.choices import SessionKind
from accounts.errors import TokenRefused
from accounts.models import ApiKey, IpRule, Session
from accounts.models.rights import Rights
from accounts.operations import callers as known
from accounts.selectors import keys, network, rights, sessions
from events import choices
from kernel.errors import Forbidden
from kernel.http import addresses, limits
from kernel.http.headers import CHALLENGE

# What the doors ask for: `/ws`, the stream of a task, a direct run.
CONNECT: Final = "event.read"
WATCH: Final = "task.read"
RUN: Final = "agent.run"
# An API key has no end that its sockets wait for; the rounds of `list_present` notice one.
WITHOUT_END: Final = timedelta(days=365)

Readable: TypeAlias = tuple[frozenset[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a socket or stream: a login (`session_id`) or an API key (`key_id`).

    `doors` are those they may pass, `readable` the names of the event types they may read.
    """

    session_id: UUID | None
    key_id: UUID | None
    user_id: UUID
    organization_id: UUID
    address: str
    doors: frozenset[str]
    readable: frozenset[str]
    # Requests a minute, and who has them: the person or the key.
    budget: limits.Budget


def authenticate(*, token: str, address: str, now: datetime) -> tuple[Caller, datetime]:
    """The caller and the moment when the access token ends.

    Raises TokenRefused, AddressRefused, or Forbidden for somebody who may read no events.
    """
    caller, expiry = identify(token=token, address=address, now=now)
    if CONNECT not in caller.doors:
        raise Forbidden
    return caller, expiry


def identify(*, token: str, address: str, now: datetime) -> tuple[Caller, datetime]:
    """The same, whatever they may do. Raises TokenRefused or AddressRefused."""
    found = known.identify(token=token, now=now)
    network.check(rules=found.rules, address=address)
    user = found.user
    caller = Caller(
        found.session_id,
        found.key_id,
        user.pk,
        user.organization_id,
        address,
        *_readable(user.rights),
        limits.of_caller(actor=found.actor(), most=found.rate_limit),
    )
    if found.key_id is not None:
        return caller, now + WITHOUT_END
    claims = sessions.read_access_token(token=token)
    return caller, datetime.fromtimestamp(int(claims["exp"]), UTC)


def address_of(connection: HTTPConnection) -> str:
    """From where somebody comes, proxies aside; empty over a Unix socket."""
    return addresses.client_address(
        peer=connection.client.host if connection.client else "",
        forwarded_for=",".join(connection.headers.getlist("x-forwarded-for")),
    )


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


def list_present(*, callers: Collection[Caller], now: datetime) -> dict[Caller, Caller]:
    """Each of `callers` who is still let in, with their rights of now; four queries at most.

    Plain values, and what they may read once for all with the same rights: a thousand sockets ask
    every few seconds, and while the answer is put together no event is delivered.
    """
    alive = {
        **_sessions({c.session_id for c in callers if c.session_id}, now),
        **_keys({c.key_id for c in callers if c.key_id}, now),
    }
    open_to = _rules({caller.organization_id for caller in callers})
    read: dict[Rights, Readable] = {}
    present: dict[Caller, Caller] = {}
    for caller in callers:
        held = alive.get(caller.session_id or caller.key_id)
        rules = open_to.get(caller.organization_id, network.OPEN)
        if held is None or not network.is_allowed(rules=rules, address=caller.address):
            continue
        if held not in read:
            read[held] = _readable(held)
        doors, readable = read[held]
        present[caller] = replace(caller, doors=doors, readable=readable)
    return present


def _sessions(ids: Collection[UUID], now: datetime) -> dict[UUID | None, Rights]:
    """The rights in each of these sessions that still counts."""
    rows = Session.objects.filter(
        pk__in=ids,
        kind=SessionKind.API,
        restriction="",
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        organization__is_active=True,
    ).values_list("pk", "user_id")
    people = dict(rows)
    held = rights.find_rights(user_ids=set(people.values()))
    return {session_id: held[user_id] for session_id, user_id in people.items()}


def _keys(ids: Collection[UUID], now: datetime) -> dict[UUID | None, Rights]:
    """The rights of each of these keys that still counts."""
    if not ids:
        return {}
    rows = ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        pk__in=ids,
        revoked_at=None,
        user__is_active=True,
        organization__is_active=True,
    ).values_list("pk", "user_id", "scopes")
    found = list(rows)
    held = rights.find_rights(user_ids={user_id for _, user_id, _ in found})
    return {
        key_id: held[user_id].within(keys.limit_of(scopes=scopes))
        for key_id, user_id, scopes in found
    }


def _rules(organization_ids: Collection[UUID]) -> dict[UUID, network.Rules]:
    """From where each of the organizations may be reached, if not from everywhere."""
    packed: defaultdict[UUID, list[str]] = defaultdict(list)
    rows = IpRule.objects.filter(organization_id__in=organization_ids).values_list(
        "organization_id", "action", "cidr"
    )
    for organization_id, action, cidr in rows:
        packed[organization_id].append(f"{action} {cidr}")
    return {organization_id: network.prepare(lines) for organization_id, lines in packed.items()}


def _readable(rights: Rights) -> Readable:
    """The doors that somebody with `rights` may pass, and the event types that they may read."""
    return (
        frozenset(door for door in (CONNECT, WATCH, RUN) if rights.hold(door)),
        frozenset(kind.name for kind in choices.list_types() if rights.hold(kind.permission)),
    )
