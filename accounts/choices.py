"""Vocabularies of accounts: roles, and which of them hold each permission."""

from collections.abc import Mapping
from typing import Final

from django.db.models import TextChoices


class UserRole(TextChoices):
    """Built-in roles (contract 003 B0)."""

    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"


# Which of the built-in roles hold a permission; one that is not listed is held by nobody.
# Contract decisions 9: the operator does all but steer rights and settings, the viewer reads.
_ALL: Final = frozenset(UserRole)
_WRITERS: Final = frozenset({UserRole.ADMIN, UserRole.OPERATOR})
PERMISSIONS: Final[Mapping[str, frozenset[UserRole]]] = {
    "profile.read": _ALL,
    "profile.edit": _ALL,
    "agent.read": _ALL,
    "agent.edit": _WRITERS,
    "agent.run": _WRITERS,
    "task.read": _ALL,
    "task.edit": _WRITERS,
    "knowledge.read": _ALL,
    "knowledge.edit": _WRITERS,
    "execution.read": _ALL,
    "event.read": _ALL,
    "cost.read": _ALL,
    "audit.read": frozenset({UserRole.ADMIN}),
    "user.read": frozenset({UserRole.ADMIN}),
    "user.edit": frozenset({UserRole.ADMIN}),
}
