"""Registration of the knowledge app."""

from django.apps import AppConfig

from kernel import permissions
from knowledge.choices import PERMISSIONS


class KnowledgeConfig(AppConfig):
    """What an organization knows, cut into passages that can be found and cited."""

    name = "knowledge"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
