"""Vocabularies of accounts."""

from django.db.models import TextChoices


class UserRole(TextChoices):
    """Built-in roles (contract 003 B0)."""

    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"
