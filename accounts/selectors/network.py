"""From where an organization may be reached (contract 003 B17)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, OuterRef, QuerySet, Value
from django.db.models.functions import Concat

from accounts.choices import IpAction
from accounts.errors import AddressRefused
from accounts.models import IpRule
from kernel.http import addresses
from kernel.http.addresses import Network
from preferences.selectors import values

M = TypeVar("M", bound=Model)
RATE_LIMIT: Final = "security.rate_limit_user"


@dataclass(frozen=True, slots=True)
class Rules:
    """Networks that are let in and kept out, ready to be asked."""

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()


OPEN: Final = Rules()


def is_allowed(*, rules: Rules, address: str | None) -> bool:
    """A denied network blocks; where some are allowed all others are blocked; else open.

    Who has no address (a Unix socket) matches no network.
    """
    if rules == OPEN:
        return True
    found = addresses.parse(address or "")
    if found is None:
        return not rules.allowed
    if addresses.contains(rules.denied, found):
        return False
    return not rules.allowed or addresses.contains(rules.allowed, found)


def check(*, rules: Rules, address: str | None) -> None:
    """Raises AddressRefused."""
    if not is_allowed(rules=rules, address=address):
        raise AddressRefused


def read_rules(*, organization_id: UUID) -> Rules:
    """The organization's rules; one query."""
    rows = IpRule.objects.filter(organization_id=organization_id).values_list("action", "cidr")
    return prepare(f"{action} {cidr}" for action, cidr in rows)


def list_rules(*, organization_id: UUID) -> "QuerySet[IpRule]":
    """The rules in their order."""
    return IpRule.objects.filter(organization_id=organization_id).order_by("position", "pk")


def with_rules(rows: QuerySet[M]) -> QuerySet[M]:
    """`rows` of a tenant's table with `rules` (for `prepare`) and `rate_limit` (for `per_minute`).

    So whoever looks a caller up learns both without another query.
    """
    rules = IpRule.objects.filter(organization_id=OuterRef("organization_id"))
    annotated: Any = rows.annotate(
        rules=ArraySubquery(rules.values_list(Concat("action", Value(" "), "cidr"))),
        rate_limit=values.along(key=RATE_LIMIT, organization="organization_id"),
    )
    return cast("QuerySet[M]", annotated)


def per_minute(stored: Any) -> int:
    """How many requests a minute a person or key has."""
    return int(values.accepted(key=RATE_LIMIT, stored=stored))


def prepare(packed: Iterable[str]) -> Rules:
    """Rules from texts such as `deny 10.0.0.0/8`."""
    return _prepare(tuple(packed))


@lru_cache(maxsize=256)
def _prepare(packed: tuple[str, ...]) -> Rules:
    return Rules(allowed=_networks(packed, IpAction.ALLOW), denied=_networks(packed, IpAction.DENY))


def _networks(packed: Sequence[str], action: str) -> tuple[Network, ...]:
    found: list[Any] = [line.partition(" ") for line in packed]
    return tuple(ip_network(cidr) for kind, _, cidr in found if kind == action)
