"""Limits for tests."""

from datetime import datetime
from typing import Any

from accounts.models import Organization
from kernel import clock
from kernel.actors import SYSTEM
from limits.choices import PATIENCE_SECONDS
from limits.models import LimitRule
from limits.operations import rules, turns
from limits.operations.turns import Turn

KEY = "customer-1"


def make_limit(
    organization: Organization,
    *,
    scope: str = "key",
    name: str = KEY,
    now: datetime | None = None,
    **limits: int,
) -> LimitRule:
    """A rule with these limits."""
    return rules.create_limit(
        organization_id=organization.pk,
        scope=scope,
        name=name,
        limits=limits,
        actor=SYSTEM,
        now=now or clock.now(),
    )


def change_limit(rule: LimitRule, **limits: int | None) -> LimitRule:
    """The same with other limits."""
    return rules.change_limit(limits=limits, **_writing(rule))


def delete_limit(rule: LimitRule) -> None:
    """Without it."""
    rules.delete_limit(**_writing(rule))


def take(
    organization: Organization,
    *buckets: tuple[str, str],
    tokens: int = 0,
    now: datetime | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Turn:
    """A turn for a model call."""
    return turns.take(
        organization_id=organization.pk,
        buckets=buckets or [("key", KEY)],
        tokens=tokens,
        now=now or clock.now(),
        patience_seconds=patience_seconds,
    )


def _writing(rule: LimitRule) -> dict[str, Any]:
    return {
        "organization_id": rule.organization_id,
        "limit_id": rule.pk,
        "actor": SYSTEM,
        "now": clock.now(),
    }
