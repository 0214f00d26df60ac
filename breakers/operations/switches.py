"""Configuring breakers, forcing them, and starting anew."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction

from audit import operations as audit
from breakers.choices import Forced
from breakers.clients import states
from breakers.clients.states import NoRedis
from breakers.errors import BreakerNotFound
from breakers.models import CircuitBreaker
from kernel.actors import Actor

# Called with organization, name and now, in the transaction that lets calls through again; the apps
# whose work waits for a breaker append themselves in `AppConfig.ready`.
LET_THROUGH: Final[list[Callable[[UUID, str, datetime], None]]] = []
log = structlog.get_logger(__name__)


@transaction.atomic
def configure(
    *, organization_id: UUID, name: str, limits: Mapping[str, int], actor: Actor, now: datetime
) -> tuple[CircuitBreaker, bool]:
    """Make the breaker or change its limits; whether it was made. `limits` as the columns.

    What was counted stays; it is measured by the new limits from now on.
    """
    made = CircuitBreaker(
        organization_id=organization_id, name=name, created_at=now, updated_at=now, **limits
    )
    CircuitBreaker.objects.bulk_create([made], ignore_conflicts=True)
    breaker = _lock(organization_id, name)
    is_new = breaker.pk == made.pk
    before = {key: getattr(breaker, key) for key in limits}
    changes = {key: [before[key], value] for key, value in limits.items() if before[key] != value}
    if is_new:
        _record(breaker, "breaker.create", actor, now, {"limits": dict(limits)})
    elif changes:
        for key, value in limits.items():
            setattr(breaker, key, value)
        breaker.is_automatic = False
        _save(breaker, [*limits, "is_automatic"], now)
        _record(breaker, "breaker.update", actor, now, {"changes": changes})
    _teach_after_commit(breaker, now)
    return breaker, is_new


@transaction.atomic
def force(
    *, organization_id: UUID, name: str, state: Forced, actor: Actor, now: datetime
) -> CircuitBreaker:
    """Hold the breaker open or closed until `force` or `reset`; nothing is counted meanwhile.

    Raises BreakerNotFound.
    """
    breaker = _lock(organization_id, name)
    if breaker.forced != state:
        breaker.forced = state
        _save(breaker, ["forced"], now)
        if state == Forced.OPEN:
            _record(breaker, "breaker.force_open", actor, now, {})
        else:
            _record(breaker, "breaker.force_close", actor, now, {})
            let_through(breaker.organization_id, breaker.name, now)
    _teach_after_commit(breaker, now)
    return breaker


@transaction.atomic
def reset(*, organization_id: UUID, name: str, actor: Actor, now: datetime) -> CircuitBreaker:
    """Closed, not forced, nothing counted; its limits stay. Raises BreakerNotFound."""
    breaker = _lock(organization_id, name)
    was = breaker.forced
    breaker.forced = Forced.NOT
    breaker.reset_revision = breaker.revision + 1
    _save(breaker, ["forced", "reset_revision"], now)
    _record(breaker, "breaker.reset", actor, now, {"was_forced": was})
    let_through(breaker.organization_id, breaker.name, now)
    _teach_after_commit(breaker, now)
    return breaker


def _lock(organization_id: UUID, name: str) -> CircuitBreaker:
    rows = CircuitBreaker.objects.filter(organization_id=organization_id, name=name)
    breaker = rows.select_for_update().first()
    if breaker is None:
        raise BreakerNotFound
    return breaker


def _save(breaker: CircuitBreaker, fields: list[str], now: datetime) -> None:
    breaker.revision += 1
    breaker.updated_at = now
    breaker.save(update_fields=[*fields, "revision", "updated_at"])


def let_through(organization_id: UUID, name: str, now: datetime) -> None:
    """Wake what waits for it, in the caller's transaction."""
    for hook in LET_THROUGH:
        hook(organization_id, name, now)


def _teach_after_commit(breaker: CircuitBreaker, now: datetime) -> None:
    transaction.on_commit(partial(_teach, breaker, now))


def _teach(breaker: CircuitBreaker, now: datetime) -> None:
    # Without Redis the row counts, and some seconds after it is back it is told of the row anyway.
    try:
        states.learn(breaker=breaker, now=now)
    except NoRedis:
        log.warning("breakers.not_taught", breaker=breaker.name)


def _record(
    breaker: CircuitBreaker, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=breaker.organization_id,
        action=action,
        resource_type="breaker",
        resource_id=breaker.pk,
        details={"name": breaker.name, **details},
        now=now,
    )
