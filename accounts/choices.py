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


def _whole(name: str, default: int, low: int, high: int, description: str) -> Setting:
    return Setting(
        key=f"security.{name}",
        kind="integer",
        default=default,
        minimum=low,
        maximum=high,
        description=description,
        permission=SECURITY,
    )


def _flag(name: str, description: str, *, default: bool = False) -> Setting:
    return Setting(
        key=f"security.{name}",
        kind="boolean",
        default=default,
        description=description,
        permission=SECURITY,
    )


# The bounds keep a slip from locking everybody out, and the policy from being switched off.
SETTINGS: Final = (
    _whole("password_min_length", 12, 8, 64, "Characters that a password has at least."),
    _flag("password_require_uppercase", "Passwords need a capital letter.", default=True),
    _flag("password_require_lowercase", "Passwords need a small letter.", default=True),
    _flag("password_require_digit", "Passwords need a digit.", default=True),
    _flag("password_require_special", "Passwords need a sign of another kind.", default=True),
    _whole(
        "password_max_age_days", 90, 0, 3650, "Days until a password is to be changed; 0: none."
    ),
    _whole("password_history", 5, 0, 24, "Last passwords that may not come back."),
    _flag("mfa_required", "Everybody logs in with a second factor."),
    _whole("mfa_grace_period_hours", 72, 0, 720, "Hours that people have to enrol one."),
    _flag("step_up_required", "Changing roles, revealing and approving ask for a fresh factor."),
    _whole("step_up_max_age_minutes", 15, 1, 1440, "Minutes that a second factor is fresh."),
    _whole("session_max_duration_hours", 24, 1, 168, "Hours after which a session ends."),
    _whole("session_idle_timeout_minutes", 30, 5, 1440, "Idle minutes that end a console session."),
    _whole("session_max_concurrent", 5, 1, 100, "Sessions a person may have; the oldest ends."),
    _whole("lockout_threshold", 5, 3, 100, "Wrong passwords in a row that lock an account."),
    _whole("lockout_minutes", 30, 1, 1440, "Minutes that a locked account stays locked."),
    _whole("rate_limit_user", 300, 30, 100_000, "Requests a minute of one person or API key."),
    _flag("registration_enabled", "Strangers may register, as viewers."),
)
