"""Registration of the audit app."""

from django.apps import AppConfig

from audit.choices import PERMISSIONS
from kernel import permissions


class AuditConfig(AppConfig):
    """Hash-chained record of who did what."""

    name = "audit"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
