"""Vocabularies and permissions of projects."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class ProjectStatus(TextChoices):
    """Whether a project is still worked on."""

    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class EnvironmentType(TextChoices):
    """What an environment is for."""

    DEV = "dev", "Development"
    STAGING = "staging", "Staging"
    UAT = "uat", "User acceptance"
    PROD = "prod", "Production"
    OTHER = "other", "Other"


PERMISSIONS: Final = (
    Permission("tenancy.read", "Tenancy", "See projects and environments.", reads=True),
    Permission("tenancy.edit", "Tenancy", "Make and archive projects, and their environments."),
)
