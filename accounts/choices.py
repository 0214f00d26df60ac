"""Vocabularies of accounts."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class UserRole(TextChoices):
    """The built-in roles that say what a person is on the whole (contract 003 B0), best first."""

    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"


class SessionKind(TextChoices):
    """What a login opened."""

    API = "api", "API"
    CONSOLE = "console", "Console"


class IpAction(TextChoices):
    """What an IP rule does with the addresses in its network."""

    ALLOW = "allow", "Allow"
    DENY = "deny", "Deny"


# A key's scopes besides those of the catalogue: whatever its owner may read; whatever they may do.
READ_SCOPE: Final = "read"
WRITE_SCOPE: Final = "write"

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
        "security.edit",
        "Security",
        "See and change the security policy, IP rules and everybody's sessions.",
        steers=True,
    ),
    Permission("api_key.edit", "Security", "Make and revoke API keys of one's own."),
)
