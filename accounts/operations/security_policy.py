"""Changing the security policy."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from accounts.operations import callers, tightening
from accounts.selectors.security_policy import FIELDS
from kernel.actors import Actor
from kernel.errors import Invalid
from preferences import operations as preferences

PASSWORDS: Final = "password_policy"
TIGHTENING: Final = frozenset(
    {
        "security.mfa_required",
        "security.mfa_grace_period_hours",
        "security.session_max_duration_hours",
    }
)


def change_policy(
    *,
    organization_id: UUID,
    values: Mapping[str, Mapping[str, Any]],
    actor: Actor,
    now: datetime,
    session_id: UUID | None,
) -> None:
    """Set the given fields by section, all or none; the others stay.

    Raises Invalid that names them as `<section>.<field>`, and StepUpLockOut.
    """
    asked = {
        FIELDS[section][field]: value
        for section, fields in values.items()
        for field, value in fields.items()
    }
    try:
        preferences.change(
            organization_id=organization_id,
            values=asked,
            actor=actor,
            now=now,
            session_id=session_id,
        )
    except Invalid as error:
        names = {
            key: f"{section}.{field}"
            for section, fields in FIELDS.items()
            for field, key in fields.items()
        }
        raise _renamed(error, names) from None


def change_passwords(
    *, organization_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> None:
    """Set the given fields of the password policy; raises Invalid that names them as given."""
    keys = FIELDS[PASSWORDS]
    asked = {keys[field]: value for field, value in values.items()}
    try:
        preferences.change(organization_id=organization_id, values=asked, actor=actor, now=now)
    except Invalid as error:
        raise _renamed(error, {key: field for field, key in keys.items()}) from None


def note_change(organization_id: UUID, keys: frozenset[str], now: datetime) -> None:
    """Apply it to open sessions, and have callers read anew: settings travel with them."""
    if keys & TIGHTENING:
        tightening.tighten_sessions(organization_id=organization_id, now=now)
    if any(key.startswith("security.") for key in keys):
        callers.forget(organization_id=organization_id)


def _renamed(error: Invalid, names: Mapping[str, str]) -> Invalid:
    """The same refusal in the words of the request."""
    return Invalid(fields=[{**field, "field": names[field["field"]]} for field in error.fields])
