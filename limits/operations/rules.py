"""Making, changing and removing rules."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid
from limits.choices import EACH, LIMITS, LimitScope
from limits.clients import stamps
from limits.errors import LimitExists, LimitNotFound
from limits.models import LimitRule

# Called with organization and now, in the transaction that raises or removes a limit; the apps
# whose work waits for one append themselves in `AppConfig.ready`.
RAISED: Final[list[Callable[[UUID, datetime], None]]] = []
# Whether an organization has what a rule of this scope names; filled by the apps that know.
THERE: Final[dict[str, Callable[[UUID, str], bool]]] = {}


@transaction.atomic
def create_limit(
    *,
    organization_id: UUID,
    scope: str,
    name: str,
    limits: Mapping[str, int | None],
    actor: Actor,
    now: datetime,
) -> LimitRule:
    """Make a rule. Raises LimitExists, and Invalid for a name that nothing can have or no limit.

    One beside `*` may be laxer than that was for its name, so what waits is woken.
    """
    rule = LimitRule(
        organization_id=organization_id,
        scope=scope,
        name=_checked(organization_id, scope, name),
        created_at=now,
        updated_at=now,
        **limits,
    )
    _refuse_empty(rule)
    LimitRule.objects.bulk_create([rule], ignore_conflicts=True)
    if not LimitRule.objects.filter(pk=rule.pk).exists():
        raise LimitExists
    _record(rule, "limit.create", actor, now, {"limits": _limits(rule)})
    if rule.name != EACH:
        _wake(organization_id, now)
    return rule


@transaction.atomic
def change_limit(
    *,
    organization_id: UUID,
    limit_id: UUID,
    limits: Mapping[str, int | None],
    actor: Actor,
    now: datetime,
) -> LimitRule:
    """Change a rule's limits; null lifts one. Raises LimitNotFound, and Invalid if none is left."""
    rule = _lock(organization_id, limit_id)
    before = _limits(rule)
    changes = {n: [before[n], value] for n, value in limits.items() if before[n] != value}
    if not changes:
        return rule
    for name, (_, value) in changes.items():
        setattr(rule, name, value)
    _refuse_empty(rule)
    rule.updated_at = now
    rule.save(update_fields=[*changes, "updated_at"])
    _record(rule, "limit.update", actor, now, {"changes": changes})
    if any(_is_laxer(value, than=former) for former, value in changes.values()):
        _wake(organization_id, now)
    return rule


@transaction.atomic
def delete_limit(*, organization_id: UUID, limit_id: UUID, actor: Actor, now: datetime) -> None:
    """Let nothing be counted by it any more. Raises LimitNotFound."""
    rule = _lock(organization_id, limit_id)
    _record(rule, "limit.delete", actor, now, {"limits": _limits(rule)})
    rule.delete()
    _wake(organization_id, now)


def _checked(organization_id: UUID, scope: str, name: str) -> str:
    """The name as it is compared; raises Invalid."""
    if name == EACH or scope == LimitScope.KEY:
        return name
    if scope == LimitScope.PROVIDER:
        if not THERE[scope](organization_id, name):
            raise Invalid.field("name", "Send the name of a provider such as openai, or *.")
        return name
    with suppress(ValueError):
        name = str(UUID(name))
        if THERE[scope](organization_id, name):
            return name
    raise Invalid.field("name", "Send the id of an agent, or *.")


def _refuse_empty(rule: LimitRule) -> None:
    if not any(value is not None for value in _limits(rule).values()):
        raise Invalid.field("max_concurrent", "Send at least one limit, or delete the rule.")


def _limits(rule: LimitRule) -> dict[str, int | None]:
    return {name: getattr(rule, name) for name in LIMITS}


def _is_laxer(limit: int | None, *, than: int | None) -> bool:
    return than is not None and (limit is None or limit > than)


def _wake(organization_id: UUID, now: datetime) -> None:
    for hook in RAISED:
        hook(organization_id, now)


def _lock(organization_id: UUID, limit_id: UUID) -> LimitRule:
    rows = LimitRule.objects.select_for_update().filter(organization_id=organization_id)
    rule = rows.filter(pk=limit_id).first()
    if rule is None:
        raise LimitNotFound
    return rule


def _record(
    rule: LimitRule, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    # Every write comes here: workers read the rules anew once it is committed.
    transaction.on_commit(partial(stamps.renew, organization_id=rule.organization_id))
    audit.record(
        actor=actor,
        organization_id=rule.organization_id,
        action=action,
        resource_type="limit",
        resource_id=rule.pk,
        details={"scope": rule.scope, "name": rule.name, **details},
        now=now,
    )
