"""How limits stand: what runs now, and what was asked for in the last minute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from limits.choices import EACH, Bucket
from limits.clients import rates
from limits.clients.rates import NoRedis, Used
from limits.models import LimitRule

# Gives how many tasks of an organization run now, by bucket; `tasks` appends itself.
RUNNING: Final[list[Callable[[UUID], Mapping[Bucket, int]]]] = []


@dataclass(frozen=True, slots=True)
class Shown:
    """A rule and how it stands. None where it holds for each name for itself, but for `running`:
    that of the fullest. `is_counting` is false while Redis does not answer."""

    rule: LimitRule
    running: int
    requests: int | None
    tokens: int | None
    is_counting: bool


def show(*, rules: Sequence[LimitRule], now: datetime) -> list[Shown]:
    """How rules of one organization stand."""
    if not rules:
        return []
    organization_id = rules[0].organization_id
    running: dict[Bucket, int] = {}
    for count in RUNNING:
        running.update(count(organization_id))
    own = _own(organization_id) if any(rule.name == EACH for rule in rules) else frozenset()
    used = _used(organization_id, rules, now)
    return [
        Shown(
            rule,
            running=_running(rule, running, own),
            requests=found.requests if found else None,
            tokens=found.tokens if found else None,
            is_counting=used is not None,
        )
        for rule in rules
        for found in [used.get((rule.scope, rule.name)) if used else None]
    ]


def _running(rule: LimitRule, running: Mapping[Bucket, int], own: frozenset[Bucket]) -> int:
    if rule.name != EACH:
        return running.get((rule.scope, rule.name), 0)
    alike = [n for bucket, n in running.items() if bucket[0] == rule.scope and bucket not in own]
    return max(alike, default=0)


def _own(organization_id: UUID) -> frozenset[Bucket]:
    """The buckets that have a rule of their own."""
    rules = LimitRule.objects.filter(organization_id=organization_id)
    return frozenset(rules.order_by().values_list("scope", "name"))


def _used(
    organization_id: UUID, rules: Sequence[LimitRule], now: datetime
) -> dict[Bucket, Used] | None:
    buckets = [(rule.scope, rule.name) for rule in rules if rule.name != EACH]
    try:
        found = rates.show(organization_id=organization_id, buckets=buckets, now=now)
    except NoRedis:
        return None
    return dict(zip(buckets, found, strict=True))
