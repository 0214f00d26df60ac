"""Making, changing and removing budgets."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from audit import operations as audit
from cost.choices import DEFAULT_THRESHOLDS, BudgetPeriod, BudgetScope, BudgetSource
from cost.errors import BudgetExists, BudgetNotFound, BudgetOfVersion
from cost.models import Budget
from cost.operations import windows
from cost.selectors import budgets
from kernel.actors import Actor
from kernel.errors import Invalid

# Called with organization and now, in the transaction that raises, softens or removes a budget, or
# sets a price; the apps whose work waits for money append themselves in `AppConfig.ready`. They
# must skip what is locked: windows are held while they run, and who waits for these may hold it.
RAISED: Final[list[Callable[[UUID, datetime], None]]] = []
# Whether an organization has the subject of a budget of this scope; filled by the apps that know.
THERE: Final[dict[str, Callable[[UUID, UUID], bool]]] = {}


@transaction.atomic
def set_monthly_budget(
    *,
    organization_id: UUID,
    monthly_limit: Decimal,
    alert_thresholds: Sequence[int] = DEFAULT_THRESHOLDS,
    is_hard: bool = False,
    actor: Actor,
    now: datetime,
) -> Budget:
    """Give the organization this budget of the month; the former one is kept, inactive.

    One that has the same values stays. Raises BudgetExists if somebody else sets one right now.
    """
    values = {
        "limit_usd": monthly_limit,
        "alert_thresholds": list(alert_thresholds),
        "is_hard": is_hard,
    }
    former = _lock_active(organization_id)
    if former is not None:
        if all(getattr(former, name) == value for name, value in values.items()):
            return former
        _deactivate(former, now)
    made = _make(
        Budget(
            organization_id=organization_id,
            scope=BudgetScope.ORGANIZATION,
            period=BudgetPeriod.MONTH,
            created_at=now,
            updated_at=now,
            **values,
        )
    )
    if former is not None:
        windows.move_windows(
            organization_id=organization_id, former_id=former.pk, budget_id=made.pk
        )
    replaced = {"replaces": str(former.pk)} if former else {}
    _record(made, "budget.create", actor, now, {**_shown(values), **replaced})
    if former is not None and former.is_hard and _is_laxer(made, than=former):
        raised(organization_id, now)
    return made


@transaction.atomic
def create_budget(
    *,
    organization_id: UUID,
    scope: str,
    subject_id: UUID | None = None,
    period: str,
    limit_usd: Decimal,
    is_hard: bool = False,
    alert_thresholds: Sequence[int] = DEFAULT_THRESHOLDS,
    actor: Actor,
    now: datetime,
) -> Budget:
    """Make a budget; without `subject_id` for each agent, task or run for itself.

    Raises BudgetExists, and Invalid for an organization's budget with a subject, for an agent or a
    task that is not there, or a run's that begins anew.
    """
    if subject_id is not None:
        _check_subject(organization_id, scope, subject_id)
    if scope == BudgetScope.RUN and period != BudgetPeriod.TOTAL:
        raise Invalid.field("period", "The budget of a run never begins anew: send total.")
    values = {
        "scope": scope,
        "subject_id": subject_id,
        "period": period,
        "limit_usd": limit_usd,
        "is_hard": is_hard,
        "alert_thresholds": list(alert_thresholds),
    }
    made = _make(Budget(organization_id=organization_id, created_at=now, updated_at=now, **values))
    _record(made, "budget.create", actor, now, _shown(values))
    return made


@transaction.atomic
def change_budget(
    *,
    organization_id: UUID,
    budget_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> Budget:
    """Change limit_usd, is_hard, alert_thresholds or is_active.

    Raises BudgetNotFound, BudgetOfVersion, and BudgetExists if it becomes active beside another.
    """
    budget = _lock_own(organization_id, budget_id)
    changes = {name: new for name, new in values.items() if getattr(budget, name) != new}
    return _change(budget, changes, actor, now) if changes else budget


@transaction.atomic
def remove_budget(*, organization_id: UUID, budget_id: UUID, actor: Actor, now: datetime) -> None:
    """Let it count no more; it is kept, inactive. Raises BudgetNotFound or BudgetOfVersion."""
    budget = _lock_own(organization_id, budget_id)
    if budget.is_active:
        _remove(budget, actor, now)


@transaction.atomic
def limit_agent(
    *, organization_id: UUID, agent_id: UUID, daily_limit_usd: Decimal, actor: Actor, now: datetime
) -> None:
    """Keep the budget of what an agent's version lets it spend a day; 0 is no limit, so none.

    The caller has locked the agent, and changes it with its versions only.
    """
    rows = Budget.objects.filter(source=BudgetSource.VERSION, organization_id=organization_id)
    budget = rows.select_for_update().filter(subject_id=agent_id, is_active=True).first()
    if budget is None and daily_limit_usd:
        values: dict[str, Any] = {
            "source": BudgetSource.VERSION,
            "scope": BudgetScope.AGENT,
            "subject_id": agent_id,
            "period": BudgetPeriod.DAY,
            "limit_usd": daily_limit_usd,
            "is_hard": True,
            "alert_thresholds": list(DEFAULT_THRESHOLDS),
        }
        made = Budget(organization_id=organization_id, created_at=now, updated_at=now, **values)
        _record(_make(made), "budget.create", actor, now, _shown(values))
    elif budget is not None and not daily_limit_usd:
        _remove(budget, actor, now)
    elif budget is not None and budget.limit_usd != daily_limit_usd:
        _change(budget, {"limit_usd": daily_limit_usd}, actor, now)


def raised(organization_id: UUID, now: datetime) -> None:
    """Wake what waits for money, in the caller's transaction."""
    for hook in RAISED:
        hook(organization_id, now)


def _change(budget: Budget, values: Mapping[str, Any], actor: Actor, now: datetime) -> Budget:
    former = Budget(limit_usd=budget.limit_usd, is_hard=budget.is_hard, is_active=budget.is_active)
    told = {
        name: [*_shown({0: getattr(budget, name), 1: new}).values()] for name, new in values.items()
    }
    for name, value in values.items():
        setattr(budget, name, value)
    counts_again = budget.is_active and not former.is_active
    if counts_again:
        _refuse_twin(budget)
    budget.updated_at = now
    _save(budget, [*values, "updated_at"])
    if counts_again:
        windows.hold_again(organization_id=budget.organization_id, budget_id=budget.pk)
    _record(budget, "budget.update", actor, now, {"changes": told})
    if former.is_active and former.is_hard and _is_laxer(budget, than=former):
        raised(budget.organization_id, now)
    return budget


def _remove(budget: Budget, actor: Actor, now: datetime) -> None:
    _deactivate(budget, now)
    _record(budget, "budget.remove", actor, now, {})
    raised(budget.organization_id, now)


def _lock_own(organization_id: UUID, budget_id: UUID) -> Budget:
    """The budget, if somebody set it. Raises BudgetNotFound or BudgetOfVersion."""
    budget = _lock(organization_id, budget_id)
    if budget.source == BudgetSource.VERSION:
        raise BudgetOfVersion
    return budget


def _lock(organization_id: UUID, budget_id: UUID) -> Budget:
    rows = Budget.objects.select_for_update().filter(organization_id=organization_id)
    budget = rows.filter(pk=budget_id).first()
    if budget is None:
        raise BudgetNotFound
    return budget


def _check_subject(organization_id: UUID, scope: str, subject_id: UUID) -> None:
    if scope == BudgetScope.ORGANIZATION:
        raise Invalid.field("subject_id", "A budget of the organization has no subject.")
    if scope in THERE and not THERE[scope](organization_id, subject_id):
        raise Invalid.field("subject_id", f"There is no such {scope} here. Send the id of one.")


def _lock_active(organization_id: UUID) -> Budget | None:
    found = budgets.find_monthly(organization_id=organization_id)
    return None if found is None else _lock(organization_id, found.pk)


def _deactivate(budget: Budget, now: datetime) -> None:
    budget.is_active, budget.updated_at = False, now
    budget.save(update_fields=["is_active", "updated_at"])


def _make(budget: Budget) -> Budget:
    """Insert it unless it has a twin; raises BudgetExists."""
    Budget.objects.bulk_create([budget], ignore_conflicts=True)
    if not Budget.objects.filter(pk=budget.pk).exists():
        raise BudgetExists
    return budget


def _refuse_twin(budget: Budget) -> None:
    twin = Budget.objects.filter(
        organization_id=budget.organization_id,
        source=budget.source,
        scope=budget.scope,
        subject_id=budget.subject_id,
        period=budget.period,
        is_active=True,
    )
    if twin.exclude(pk=budget.pk).exists():
        raise BudgetExists


def _save(budget: Budget, fields: list[str]) -> None:
    """Raises BudgetExists if somebody made a twin of it since that was looked for."""
    try:
        with transaction.atomic():
            budget.save(update_fields=fields)
    except IntegrityError:
        raise BudgetExists from None


def _is_laxer(budget: Budget, *, than: Budget) -> bool:
    """Whether calls may pass now that a hard budget refused."""
    return not budget.is_hard or not budget.is_active or budget.limit_usd > than.limit_usd


def _shown(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values as JSON takes them."""
    return {
        name: str(value) if isinstance(value, Decimal | UUID) else value
        for name, value in values.items()
    }


def _record(
    budget: Budget, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=budget.organization_id,
        action=action,
        resource_type="budget",
        resource_id=budget.pk,
        details=details,
        now=now,
    )
