"""Calls whose answer nobody got: a provider may bill them, so what was held for them is spent.

Else a hard budget could be passed by calls that ran into a timeout, or whose worker died.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from cost.models import BudgetWindow, Reservation
from cost.operations import ledger, reservations, windows

log = structlog.get_logger(__name__)
# No call takes as long: whoever reserved for it has died, or forgot.
ABANDONED_AFTER: Final = timedelta(minutes=15)
BATCH: Final = 500


@transaction.atomic
def book_given_up(*, execution_id: UUID, ordinal: int, now: datetime) -> None:
    """Count a call as spent that nobody waits for any more, and for which no answer can come."""
    rows = Reservation.objects.filter(execution_id=execution_id, ordinal=ordinal)
    _book(list(rows), now, may_be_answered=False)


def book_closed(*, execution_ids: Sequence[UUID], now: datetime) -> int:
    """Count the calls as spent that were under way when these runs were closed, in the caller's
    transaction, after whatever else it locks and once in it; how many calls."""
    rows = Reservation.objects.filter(execution_id__in=execution_ids).order_by("pk")
    organization_ids = {each.organization_id for each in rows}
    if not organization_ids:
        return 0
    windows.lock_shared(organization_ids)
    # Before the windows, as everybody locks them.
    return _book(list(rows.select_for_update()), now)


def book_abandoned(*, now: datetime) -> int:
    """Count as spent what was held for over 15 minutes: nobody closed these runs. How many calls.

    What old code held during a deploy, without saying for which model, is given back.
    """
    booked = 0
    while count := _book_batch(now):
        booked += count
    return booked


@transaction.atomic
def _book_batch(now: datetime) -> int:
    old = Reservation.objects.filter(created_at__lt=now - ABANDONED_AFTER).order_by("pk")
    seen = old[:BATCH]
    windows.lock_shared({each.organization_id for each in seen})
    held = list(old.filter(pk__in=[each.pk for each in seen]).select_for_update(skip_locked=True))
    for each in held:
        log.warning(
            "cost.reservation.abandoned",
            execution_id=str(each.execution_id),
            amount_usd=str(each.amount_usd),
        )
    return _book(held, now)


def _book(held: Sequence[Reservation], now: datetime, *, may_be_answered: bool = True) -> int:
    if len(held) > 1:
        _lock(held)
    for each in held:
        if each.provider:
            ledger.record_unanswered(held=each, may_be_answered=may_be_answered, now=now)
        else:
            reservations.release(
                organization_id=each.organization_id,
                execution_id=each.execution_id,
                ordinal=each.ordinal,
            )
    return len(held)


def _lock(held: Sequence[Reservation]) -> None:
    """Lock what several calls count in at once: one by one, they could wait for each other."""
    organization_ids = {each.organization_id for each in held}
    subjects = {
        subject_id
        for each in held
        for subject_id in (each.organization_id, each.agent_id, each.task_id, each.execution_id)
    }
    counts = Q(subject_id__in=subjects - {None}, ends_at__gt=min(each.created_at for each in held))
    holds = Q(pk__in={window_id for each in held for window_id in each.window_ids})
    touched = BudgetWindow.objects.filter(organization__in=organization_ids).filter(counts | holds)
    list(touched.select_for_update().order_by("pk").values_list("pk"))
