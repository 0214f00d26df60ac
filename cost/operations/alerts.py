"""Telling that a budget's threshold was passed, and that a call cost more than was held for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from audit import operations as audit
from cost.models import BudgetWindow, UsageRecord
from events import operations as events
from kernel.actors import SYSTEM


@dataclass(frozen=True, slots=True)
class Counted:
    """A window after a call was booked, and its budget's limits, which an inactive one has not."""

    window_id: UUID
    budget_id: UUID | None
    scope: str
    subject_id: UUID
    starts_at: datetime
    spent_usd: Decimal
    alerted_percent: int
    alerted_limit_usd: Decimal
    limit_usd: Decimal | None
    alert_thresholds: Sequence[int] | None
    is_hard: bool | None

    def passed(self, cost_usd: Decimal) -> list[int]:
        """The thresholds that this call of `cost_usd` was the first to pass in this period.

        Under another limit than the last one told of, what was passed before the call counts anew.
        """
        limit = self.limit_usd
        if limit is None or not self.spent_usd:
            return []
        told = self.alerted_percent
        if self.alerted_limit_usd != limit:
            before = self.spent_usd - cost_usd
            told = min(told, int(100 * before / limit) if limit else 0)
        reached = [t for t in self.alert_thresholds or () if 100 * self.spent_usd >= limit * t]
        return [threshold for threshold in reached if threshold > told]

    def broke(self, cost_usd: Decimal) -> bool:
        """Whether this call carried a hard budget beyond its limit."""
        limit = self.limit_usd
        if limit is None or not self.is_hard:
            return False
        return self.spent_usd > limit >= self.spent_usd - cost_usd


def tell(
    *,
    record: UsageRecord,
    reserved_usd: Decimal | None,
    counted: Sequence[Counted],
    now: datetime,
) -> None:
    """What follows from a call that was booked, in the caller's transaction."""
    cost = record.cost_usd
    for window in counted:
        if thresholds := window.passed(cost):
            _alert(record.organization_id, window, thresholds, now)
    too_little = reserved_usd is not None and cost > reserved_usd
    if too_little or any(window.broke(cost) for window in counted):
        _say_overrun(record, reserved_usd, now)


def _alert(
    organization_id: UUID, window: Counted, thresholds: Sequence[int], now: datetime
) -> None:
    BudgetWindow.objects.filter(pk=window.window_id).update(
        alerted_percent=thresholds[-1], alerted_limit_usd=window.limit_usd, updated_at=now
    )
    told = {
        "budget_id": str(window.budget_id),
        "scope": window.scope,
        "subject_id": str(window.subject_id),
        "period_start": window.starts_at.isoformat(),
        "spent_usd": str(window.spent_usd),
        "limit_usd": str(window.limit_usd),
        "is_hard": window.is_hard,
    }
    for threshold in thresholds:
        events.publish(
            organization_id=organization_id,
            type="budget.threshold",
            data={**told, "threshold": threshold},
            now=now,
        )
        audit.record(
            actor=SYSTEM,
            organization_id=organization_id,
            action="budget.alert",
            resource_type="budget",
            resource_id=window.budget_id,
            details={**told, "threshold": threshold},
            now=now,
        )


def _say_overrun(record: UsageRecord, reserved_usd: Decimal | None, now: datetime) -> None:
    told = {
        "execution_id": str(record.execution_id),
        "ordinal": record.ordinal,
        "provider": record.provider,
        "model": record.model,
        "reserved_usd": None if reserved_usd is None else str(reserved_usd),
        "cost_usd": str(record.cost_usd),
    }
    events.publish(
        organization_id=record.organization_id, type="budget.overrun", data=told, now=now
    )
    audit.record(
        actor=SYSTEM,
        organization_id=record.organization_id,
        action="budget.overrun",
        resource_type="execution",
        resource_id=record.execution_id,
        details=told,
        now=now,
    )
