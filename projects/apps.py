"""Registration of the projects app."""

from django.apps import AppConfig

from kernel import permissions
from projects.choices import PERMISSIONS


class ProjectsConfig(AppConfig):
    """What an organization works on, and where that runs."""

    name = "projects"

    def ready(self) -> None:
        """Fill the permission catalogue; roles can be given for projects and environments."""
        permissions.register(*PERMISSIONS)
        from accounts.operations import grants  # noqa: PLC0415 - models must be loaded first
        from projects import selectors  # noqa: PLC0415 - the same

        grants.OBJECTS["project_id"] = selectors.has_project
        grants.OBJECTS["environment_id"] = selectors.has_environment
