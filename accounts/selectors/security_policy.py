"""The security policy: the settings `security.*` in the shape of contract 003 B17."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from preferences.selectors import values

METHODS: Final = ["totp"]
# section -> field -> setting. One truth: `/settings` and `/security` write the same rows.
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "password_policy": {
        "min_length": "security.password_min_length",
        "require_uppercase": "security.password_require_uppercase",
        "require_lowercase": "security.password_require_lowercase",
        "require_digit": "security.password_require_digit",
        "require_special": "security.password_require_special",
        "max_age_days": "security.password_max_age_days",
        "history_count": "security.password_history",
    },
    "mfa": {
        "enabled": "security.mfa_required",
        "grace_period_hours": "security.mfa_grace_period_hours",
    },
    "step_up": {
        "enabled": "security.step_up_required",
        "max_age_minutes": "security.step_up_max_age_minutes",
    },
    "session": {
        "max_duration_hours": "security.session_max_duration_hours",
        "idle_timeout_minutes": "security.session_idle_timeout_minutes",
        "max_concurrent_sessions": "security.session_max_concurrent",
    },
    "lockout": {
        "threshold": "security.lockout_threshold",
        "minutes": "security.lockout_minutes",
    },
    "registration": {"enabled": "security.registration_enabled"},
    "rate_limits": {"per_user_per_minute": "security.rate_limit_user"},
}


def describe(*, organization_id: UUID) -> dict[str, dict[str, Any]]:
    """The policy that counts now; `mfa.methods` are those the hub knows."""
    found = values.read(organization_id=organization_id)
    policy = {
        section: {field: found[key] for field, key in fields.items()}
        for section, fields in FIELDS.items()
    }
    policy["mfa"]["methods"] = METHODS
    return policy
