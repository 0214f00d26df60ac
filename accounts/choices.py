"""Vocabularies of accounts."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission
from preferences.choices import Setting


class UserRole(TextChoices):
    """The built-in roles that say what a person is on the whole (contract 003 B0), best first."""

    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"


class SessionKind(TextChoices):
    """What a login opened."""

    API = "api", "API"
    CONSOLE = "console", "Console"
    # The password was right, the second factor is awaited: opens nothing yet.
    PENDING = "pending", "Pending"


class Restriction(TextChoices):
    """What a session is only for, until it is done; its rights are nobody's until then."""

    PASSWORD = "password", "Change an expired password"
    MFA = "mfa", "Enrol a second factor"


class IpAction(TextChoices):
    """What an IP rule does with the addresses in its network."""

    ALLOW = "allow", "Allow"
    DENY = "deny", "Deny"


# A key's scopes besides those of the catalogue: whatever its owner may read; whatever they may do.
READ_SCOPE: Final = "read"
WRITE_SCOPE: Final = "write"

# What a role can be given for; `secret_ref_prefix` is compared by beginning (contract 002 A4, A6).
SCOPE_KEYS: Final = frozenset(
    {
        "agent_id",
        "cluster_name",
        "environment",
        "environment_id",
        "environment_kind",
        "operation",
        "project_id",
        "provider_type",
        "secret_ref_prefix",
    }
)

SECURITY: Final = "security.edit"
# No key has it: whoever finds one must not be able to make himself another.
API_KEYS: Final = "api_key.edit"
PERMISSIONS: Final = (
    Permission("role.read", "RBAC", "See roles and who holds them.", reads=True),
    Permission("role.edit", "RBAC", "Make, change and delete roles.", steers=True),
    Permission(
        "user_role.edit",
        "RBAC",
        "Add, change and disable people, and give and take their roles.",
        steers=True,
    ),
    Permission(
        SECURITY,
        "Security",
        "See and change the security policy, IP rules and everybody's sessions.",
        steers=True,
    ),
    Permission(API_KEYS, "Security", "Make and revoke API keys of one's own."),
)


def _whole(
    name: str, label: str, default: int, bounds: tuple[int, int], description: str
) -> Setting:
    return Setting(
        key=f"security.{name}",
        kind="integer",
        label=label,
        default=default,
        minimum=bounds[0],
        maximum=bounds[1],
        description=description,
        permission=SECURITY,
    )


def _flag(name: str, label: str, description: str, *, default: bool = False) -> Setting:
    return Setting(
        key=f"security.{name}",
        kind="boolean",
        label=label,
        default=default,
        description=description,
        permission=SECURITY,
    )


# The bounds keep a slip from locking everybody out, and the policy from being switched off.
SETTINGS: Final = (
    _whole(
        "password_min_length",
        "Minimum length of a password",
        12,
        (8, 64),
        "Characters that a password has at least.",
    ),
    _flag(
        "password_require_uppercase",
        "Ask for a capital letter",
        "Passwords need a capital letter.",
        default=True,
    ),
    _flag(
        "password_require_lowercase",
        "Ask for a small letter",
        "Passwords need a small letter.",
        default=True,
    ),
    _flag("password_require_digit", "Ask for a digit", "Passwords need a digit.", default=True),
    _flag(
        "password_require_special",
        "Ask for another sign",
        "Passwords need a sign that is no letter or digit.",
        default=True,
    ),
    _whole(
        "password_max_age_days",
        "Maximum age of a password (days)",
        90,
        (0, 3650),
        "Days until a password is to be changed; 0: none.",
    ),
    _whole(
        "password_history",
        "Passwords that are remembered",
        5,
        (0, 24),
        "Last passwords that may not come back.",
    ),
    _flag(
        "mfa_required",
        "Require a second factor",
        "Everybody logs in with a second factor.",
    ),
    _whole(
        "mfa_grace_period_hours",
        "Time to set one up (hours)",
        72,
        (0, 720),
        "Hours that people have to enrol one.",
    ),
    _flag(
        "step_up_required",
        "Require a fresh code for what matters",
        "Changing people, roles, who holds them, settings, this policy, IP rules or approval rules,"
        " making an API key and deciding an approval ask for a fresh code of the second factor.",
    ),
    _whole(
        "step_up_max_age_minutes",
        "A code stays fresh for (minutes)",
        15,
        (1, 1440),
        "Minutes that a second factor is fresh.",
    ),
    _whole(
        "session_max_duration_hours",
        "Longest session (hours)",
        24,
        (1, 168),
        "Hours after which a session ends.",
    ),
    _whole(
        "session_idle_timeout_minutes",
        "Idle console session (minutes)",
        30,
        (5, 1440),
        "Idle minutes that end a console session.",
    ),
    _whole(
        "session_max_concurrent",
        "Sessions of a person at once",
        5,
        (1, 100),
        "Sessions a person may have; the oldest ends.",
    ),
    _whole(
        "lockout_threshold",
        "Wrong attempts until an account is locked",
        5,
        (3, 100),
        "Wrong passwords or codes in a row that lock an account.",
    ),
    _whole(
        "lockout_minutes",
        "Lockout (minutes)",
        30,
        (1, 1440),
        "Minutes that a locked account stays locked.",
    ),
    _whole(
        "rate_limit_user",
        "Requests of a person a minute",
        300,
        (30, 100_000),
        "Requests a minute of one person or API key.",
    ),
    _flag(
        "registration_enabled",
        "Open registration",
        "Strangers may register, as viewers.",
    ),
)
