"""Changing settings: the only writer of them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from audit import operations as audit
from kernel import redaction, sealing
from kernel.actors import Actor
from kernel.errors import Invalid
from preferences.choices import Setting, catalogue
from preferences.errors import UnknownSetting
from preferences.models import StoredSetting
from preferences.selectors import values as selectors

LOCK_SPACE: Final = 0x5072  # "Pr": first key of the advisory locks
# Called in the transaction of a change with the organization, the keys and the time; apps above
# that remember a setting append themselves in `AppConfig.ready`.
CHANGED: Final[list[Callable[[UUID, frozenset[str], datetime], None]]] = []

# Called before anything is stored with the organization and the new values (None: the default); the
# apps that append themselves raise Invalid whose fields are the keys.
CHECKS: Final[list[Callable[[UUID, Mapping[str, Any]], None]]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is stored and not yet committed: of whose settings, which keys, who asked, and when.

    `session_id` is the login in which a person asked; None for API keys and the hub itself.
    """

    organization_id: UUID
    keys: frozenset[str]
    actor: Actor
    session_id: UUID | None
    now: datetime


# Called with a change as soon as it is stored; the apps that append themselves raise what undoes
# it, because it would turn against whoever asked.
GUARDS: Final[list[Callable[[Change], None]]] = []

__all__ = ["CHANGED", "CHECKS", "GUARDS", "Change", "UnknownSetting", "change", "hold"]


@transaction.atomic
def change(
    *,
    organization_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    session_id: UUID | None = None,
) -> int:
    """Set each key to its value, or to its default where the value is None; all or nothing.

    `session_id` is the login in which a person asks. Returns how many keys were given. Raises
    UnknownSetting, Invalid whose fields are the keys, and StepUpLockOut.
    """
    asked = _parsed(values)
    shown = {key: value for key, value in asked.items() if not catalogue()[key].secret}
    redaction.check(organization_id, shown)
    for check in CHECKS:
        check(organization_id, asked)
    _lock(organization_id)
    before = selectors.read(organization_id=organization_id)
    changed = [key for key, value in asked.items() if _differs(before, catalogue()[key], value)]
    given = len(asked)
    for key in _unbound(before, asked, changed):
        asked[key] = None
        changed.append(key)
    for key in changed:
        _store(organization_id, catalogue()[key], asked[key], now)
    keys = frozenset(changed)
    if any(catalogue()[key].secret for key in keys):
        redaction.forget(organization_id=organization_id)
    for guard in GUARDS:
        guard(
            Change(
                organization_id=organization_id,
                keys=keys,
                actor=actor,
                session_id=session_id,
                now=now,
            )
        )
    entries = [_entry(organization_id, key, before, asked[key], actor) for key in changed]
    audit.record_all(entries=entries, now=now)
    for hook in CHANGED if changed else ():
        hook(organization_id, keys, now)
    return given


def hold(*, organization_id: UUID) -> None:
    """Let nobody change the organization's settings until the present transaction ends.

    Many may hold them at once. Whoever writes rows that a change of settings must meet holds them
    before reading: else the change neither sees those rows, nor they the change.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, %s)",
            [LOCK_SPACE, organization_id.int % 2**31],
        )


def _parsed(values: Mapping[str, Any]) -> dict[str, Any]:
    # Every key first: an unknown one is 404 whatever the other values are.
    settings = {key: selectors.get_setting(key=key) for key in sorted(values)}
    parsed: dict[str, Any] = {}
    wrong: list[dict[str, str]] = []
    for key, setting in settings.items():
        try:
            parsed[key] = None if values[key] is None else setting.parse(values[key])
            if setting.secret and not parsed[key]:
                parsed[key] = None  # an empty field of a form
        except ValueError as error:
            wrong.append({"field": key, "message": str(error), "type": "invalid"})
    if wrong:
        raise Invalid(fields=wrong)
    return parsed


def _unbound(
    before: selectors.Values, asked: Mapping[str, Any], changed: Collection[str]
) -> list[str]:
    """The secrets that would go somewhere else than where they may have been sent before."""
    moved = {
        key
        for key in changed
        if before[key] != (catalogue()[key].default_value() if asked[key] is None else asked[key])
    }
    return [
        key
        for key, setting in catalogue().items()
        if setting.bound_to
        and key not in asked
        and not before.is_default(key)
        and not before.is_default(setting.bound_to[0])
        and moved.intersection(setting.bound_to)
    ]


def _differs(before: selectors.Values, setting: Setting, value: Any) -> bool:
    """Whether storing it would change anything; a secret always counts as changed."""
    if value is None:
        return not before.is_default(setting.key)
    return setting.secret or before.is_default(setting.key) or before[setting.key] != value


def _store(organization_id: UUID, setting: Setting, value: Any, now: datetime) -> None:
    rows = StoredSetting.objects.filter(organization_id=organization_id, key=setting.key)
    if value is None:
        rows.delete()
        return
    form: dict[str, Any] = {"value": value, "sealed_value": None}
    if setting.secret:
        place = selectors.place(organization_id=organization_id, key=setting.key)
        sealed = sealing.seal(value.encode(), purpose=selectors.PURPOSE, place=place)
        form = {"value": None, "sealed_value": sealed}
    StoredSetting.objects.update_or_create(
        organization_id=organization_id, key=setting.key, defaults={**form, "updated_at": now}
    )


def _entry(
    organization_id: UUID, key: str, before: selectors.Values, value: Any, actor: Actor
) -> audit.Entry:
    setting = catalogue()[key]
    details: dict[str, Any] = {"reset": value is None}
    if not setting.secret:
        new = setting.default_value() if value is None else value
        details |= {"old": before[key], "new": new}
    return audit.Entry(actor, organization_id, "settings.update", "setting", key, details)


def _lock(organization_id: UUID) -> None:
    """One change an organization at a time, so that what the audit calls old is what was there."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, organization_id.int % 2**31]
        )
