"""Model calls and the minute's limits: a turn is taken before a call, and settled after it."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final
from uuid import UUID

from kernel.stamps import Memory
from limits.choices import PATIENCE_SECONDS, Bucket, LimitScope
from limits.clients import rates, stamps
from limits.clients.rates import Answer, NoRedis
from limits.errors import RateReached
from limits.models import LimitRule
from limits.selectors import list_limits, pick_rules

_memory: Final = Memory[list[LimitRule]](stamps.STAMPS)


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave for one call, `wait_seconds` from now; without `buckets` nothing counts it."""

    organization_id: UUID
    call: str = ""
    buckets: tuple[Bucket, ...] = ()
    wait_seconds: float = 0.0


def take(
    *,
    organization_id: UUID,
    buckets: Sequence[Bucket],
    tokens: int,
    now: datetime,
    patience_seconds: float = PATIENCE_SECONDS,
    labels: Mapping[Bucket, str] = MappingProxyType({}),
) -> Turn:
    """A turn for a call that may use `tokens` and counts in `buckets`, which people know as
    `labels` where those are not their names.

    Raises RateReached if that comes later than `patience_seconds` from now. Without Redis every
    call goes out, uncounted.
    """
    kept = _memory.recall(organization_id, "", partial(_read, organization_id))
    found = pick_rules(kept, [bucket for bucket in buckets if bucket[1]]) if kept else {}
    rules = [(bucket, rule) for bucket, rule in found.items() if _is_of_minutes(rule)]
    if not rules:
        return Turn(organization_id)
    call = secrets.token_hex(8)
    try:
        answer = rates.take(
            organization_id=organization_id,
            call=call,
            rules=rules,
            tokens=tokens,
            patience_seconds=patience_seconds,
            now=now,
        )
    except NoRedis:
        return Turn(organization_id)
    if not answer.is_booked:
        raise _reached(answer, dict(rules), labels)
    return Turn(organization_id, call, tuple(bucket for bucket, _ in rules), answer.wait_seconds)


def settle(*, turn: Turn, tokens: int, now: datetime) -> None:
    """Say how many tokens the call used. What Redis does not hear of leaves it within a minute."""
    if not turn.buckets:
        return
    try:
        rates.settle(
            organization_id=turn.organization_id,
            call=turn.call,
            buckets=turn.buckets,
            tokens=tokens,
            now=now,
        )
    except NoRedis:
        return


def give_back(*, turn: Turn, now: datetime) -> None:
    """Let a call that did not go out count no more."""
    if not turn.buckets:
        return
    try:
        rates.give_back(
            organization_id=turn.organization_id, call=turn.call, buckets=turn.buckets, now=now
        )
    except NoRedis:
        return


def _read(organization_id: UUID) -> list[LimitRule]:
    """All rules, if any is of minutes: one of a name's own that is not takes it out of `*`."""
    rules = list(list_limits(organization_id=organization_id))
    return rules if any(map(_is_of_minutes, rules)) else []


def _is_of_minutes(rule: LimitRule) -> bool:
    return rule.requests_per_minute is not None or rule.tokens_per_minute is not None


def _reached(
    answer: Answer, rules: dict[Bucket, LimitRule], labels: Mapping[Bucket, str]
) -> RateReached:
    bucket = answer.bucket or next(iter(rules))
    scope, name = bucket[0], labels.get(bucket, bucket[1])
    whose = f"{LimitScope(scope).label.lower()} {name}"
    seconds = max(1, math.ceil(answer.wait_seconds))
    return RateReached(
        f"The limit of {whose} for one minute is used up. Try again in {seconds} s, or raise it.",
        data={
            "rule_id": str(rules[bucket].pk),
            "retry_after_seconds": answer.wait_seconds,
        },
    )
