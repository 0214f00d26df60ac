"""Calls of hosts that models and their peers name: a breaker each, for those that have failed.

A host that never failed leaves neither a row nor a key in Redis, and one that has not failed for a
day is forgotten: so what models make up does not pile up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import structlog
from django.db.models import QuerySet

from breakers.choices import HOST, Forced, Outcome, breaker_of_host
from breakers.clients import states
from breakers.clients.states import NoRedis
from breakers.errors import BreakerOpen
from breakers.models import CircuitBreaker
from breakers.operations import calls, standings
from breakers.operations.calls import Permit
from breakers.operations.standings import Shown
from kernel import loop, tenancy
from kernel.outbound import OutboundFailed, OutboundUnusable, Reply

log = structlog.get_logger(__name__)
Fetch: TypeAlias = Callable[[], Awaitable[Reply]]
# Of one organization; calls of further hosts that fail are not counted.
MOST_HOSTS: Final = 500
IDLE: Final = timedelta(days=1)
BATCH: Final = 100
SERVER_FAULT: Final = 500


async def call_host(
    organization_id: UUID, host: str, fetch: Fetch, *, clock: Callable[[], datetime]
) -> Reply:
    """The answer of `fetch`, which calls `host`; for any event loop. `clock` is asked twice.

    No answer, none in time and a status from 500 are faults of the host. Raises BreakerOpen
    without calling, or what `fetch` raises.
    """
    name = breaker_of_host(host)
    if not name:
        return await fetch()
    with tenancy.organization(organization_id):
        database = loop.get().in_database
        permit = await database(
            calls.permit_known, organization_id=organization_id, name=name, now=clock()
        )
        outcome = Outcome.UNKNOWN
        try:
            reply = await fetch()
            outcome = Outcome.FAILURE if reply.status >= SERVER_FAULT else Outcome.SUCCESS
        except OutboundFailed as error:
            is_down = not isinstance(error, OutboundUnusable)
            outcome = Outcome.FAILURE if is_down else Outcome.UNKNOWN
            raise
        finally:
            # A call that is cancelled must not keep the place of a trial.
            await asyncio.shield(database(_report, permit, outcome, clock()))
    return reply


def prune_hosts(*, now: datetime) -> int:
    """Forget hosts that have not failed for a day, unless a person has a say; how many.

    In the platform's scope. None while Redis does not answer.
    """
    old = CircuitBreaker.objects.filter(
        is_automatic=True, forced=Forced.NOT, name__startswith=HOST, created_at__lt=now - IDLE
    )
    organizations = list(old.order_by().values_list("organization_id", flat=True).distinct())
    return sum(_prune(old.filter(organization_id=each), each, now) for each in organizations)


def _report(permit: Permit, outcome: Outcome, now: datetime) -> None:
    if permit.is_counted or outcome != Outcome.FAILURE:
        calls.report(permit=permit, outcome=outcome, now=now)
    elif _may_have_row(permit):
        _count(permit, now)


def _count(permit: Permit, now: datetime) -> None:
    """The first failure makes the row; others may have come before it."""
    try:
        leave = calls.permit(organization_id=permit.organization_id, name=permit.name, now=now)
    except BreakerOpen:
        return
    calls.report(permit=leave, outcome=Outcome.FAILURE, now=now)


def _may_have_row(permit: Permit) -> bool:
    rows = CircuitBreaker.objects.filter(organization_id=permit.organization_id)
    if rows.filter(name=permit.name).exists():
        return True
    if rows.filter(is_automatic=True, name__startswith=HOST).count() < MOST_HOSTS:
        return True
    log.warning("breakers.too_many_hosts", breaker=permit.name)
    return False


def _prune(old: QuerySet[CircuitBreaker], organization_id: UUID, now: datetime) -> int:
    rows = list(old)
    quiet = [
        each.breaker
        for start in range(0, len(rows), BATCH)
        for each in standings.show(breakers=rows[start : start + BATCH], now=now)
        if _is_quiet(each, now)
    ]
    try:
        # First of all: a row that comes back must not meet what was known of an older one.
        states.forget(organization_id=organization_id, names=[each.name for each in quiet])
    except NoRedis:
        return 0
    return old.filter(pk__in=[each.pk for each in quiet]).delete()[0]


def _is_quiet(shown: Shown, now: datetime) -> bool:
    last = shown.standing.last_failure
    return shown.is_counting and (last is None or last < now - IDLE)
