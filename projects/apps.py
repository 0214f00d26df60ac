"""Registration of the projects app."""

from django.apps import AppConfig

from kernel import permissions
from projects.choices import PERMISSIONS


class ProjectsConfig(AppConfig):
    """What an organization works on, and where that runs."""

    name = "projects"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
