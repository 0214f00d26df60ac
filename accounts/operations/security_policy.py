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
) -> None:
    """Set the given fields by section, all or none; the others stay.

    Raises Invalid that names them as `<section>.<field>`.
    """
    names = {
        key: f"{section}.{field}"
        for section, fields in FIELDS.items()
        for field, key in fields.items()
    }
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
        )
    except Invalid as error:
        raise Invalid(
            fields=[{**field, "field": names[field["field"]]} for field in error.fields]
        ) from None


def note_change(organization_id: UUID, keys: frozenset[str], now: datetime) -> None:
    """Apply it to open sessions, and have callers read anew: settings travel with them."""
    if keys & TIGHTENING:
        tightening.tighten_sessions(organization_id=organization_id, now=now)
    if any(key.startswith("security.") for key in keys):
        callers.forget(organization_id=organization_id)
