"""Projects and their environments (contract 002 A7)."""

from django.db import models
from django.db.models.functions import Lower

from accounts.models import TenantRow
from projects.choices import EnvironmentType, ProjectStatus


class Project(TenantRow):
    """What an organization works on. Archived when it is over, never deleted."""

    name = models.CharField(max_length=255)
    # A team of somebody else's directory: teams are no rows here yet.
    owner_team_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(
        max_length=16, choices=ProjectStatus.choices, default=ProjectStatus.ACTIVE
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", Lower("name"), name="project_name_unique")
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="project_newest")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_archived(self) -> bool:
        """Whether nothing is added to it any more."""
        return self.status == ProjectStatus.ARCHIVED


class Environment(TenantRow):
    """A place where a project runs; role assignments and policies name it."""

    # No index of its own: the one by project serves.
    project = models.ForeignKey(
        Project, models.PROTECT, related_name="environments", db_index=False
    )
    name = models.CharField(max_length=255)
    type = models.CharField(
        max_length=16, choices=EnvironmentType.choices, default=EnvironmentType.OTHER
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("project", Lower("name"), name="environment_name_unique")
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="environment_newest"),
            models.Index(fields=["project", "-created_at", "-id"], name="environment_of_project"),
        ]

    def __str__(self) -> str:
        return self.name
