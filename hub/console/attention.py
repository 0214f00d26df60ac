"""What the front page says that waits for its reader, and how much is not as it should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.urls import reverse

from accounts.models import User
from approvals import selectors as approvals
from approvals.choices import READ, ApprovalStatus
from approvals.models import Approval
from breakers import selectors as breakers
from breakers.choices import BreakerState
from breakers.operations import standings
from cost.selectors import budgets, spending
from cost.selectors.spending import Standing
from dead_letters import selectors as dead_letters
from preferences.choices import EDIT

# Nothing here reads more rows than this; a figure that hits it says so.
WINDOW: Final = 500
LISTED: Final = 8
HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Figure:
    """How many of something there are, and the page that lists them."""

    label: str
    count: int
    page: str
    query: str = ""

    @property
    def is_capped(self) -> bool:
        """Whether there are more than were counted."""
        return self.count >= WINDOW

    @property
    def address(self) -> str:
        """The list."""
        return reverse(f"admin:{self.page}_changelist") + self.query


@dataclass(frozen=True, slots=True)
class Attention:
    """For one person: approvals that wait for their vote, the oldest first, and the figures of
    those pages that they may open."""

    asked: Sequence[Approval] = ()
    figures: Sequence[Figure] = field(default_factory=list)


def get_attention(*, user: User, now: datetime) -> Attention:
    """At most eight queries and one question to Redis, none of which grows with history."""
    figures = [figure(user, now) for permission, figure in FIGURES if user.has_perm(permission)]
    asked = _asked(user, now) if user.has_perm(READ) else []
    return Attention(asked, figures)


def _asked(user: User, now: datetime) -> list[Approval]:
    rows = approvals.list_approvals(organization_id=user.organization_id, now=now)
    waiting = approvals.for_decider(rows, user=user)
    return list(waiting.order_by("created_at", "pk")[:LISTED])


def _approvals(user: User, now: datetime) -> Figure:
    rows = approvals.list_approvals(organization_id=user.organization_id, now=now)
    waiting = rows.filter(status=ApprovalStatus.PENDING, expires_at__gt=now).order_by()
    count = waiting[:WINDOW].count()
    return Figure("Open approvals", count, "approvals_approval", "?status__exact=pending")


def _breakers(user: User, now: datetime) -> Figure:
    rows = breakers.list_breakers(organization_id=user.organization_id)[:WINDOW]
    shown = standings.show(breakers=list(rows), now=now)
    count = sum(each.state == BreakerState.OPEN for each in shown)
    return Figure("Open breakers", count, "breakers_circuitbreaker")


def _budgets(user: User, now: datetime) -> Figure:
    rows = budgets.list_budgets(organization_id=user.organization_id).filter(is_active=True)
    found = spending.stand(
        budgets=list(rows[:WINDOW]), organization_id=user.organization_id, now=now
    )
    count = sum(_is_past_threshold(each) for each in found)
    return Figure("Budgets past a threshold", count, "cost_budget", "?is_active__exact=1")


def _is_past_threshold(stands: Standing) -> bool:
    used = stands.percent_used
    first = min(stands.budget.alert_thresholds, default=HUNDRED)
    return used is not None and used > 0 and used >= first


def _dead_letters(user: User, now: datetime) -> Figure:  # noqa: ARG001 - as the others are called
    rows = dead_letters.list_letters(organization_id=user.organization_id).order_by()
    return Figure("Dead letters", rows[:WINDOW].count(), "dead_letters_deadletter")


FIGURES: Final[Sequence[tuple[str, Callable[[User, datetime], Figure]]]] = (
    (READ, _approvals),
    (EDIT, _breakers),
    ("cost.read", _budgets),
    (EDIT, _dead_letters),
)
