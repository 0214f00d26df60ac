"""Registration of the preferences app."""

from django.apps import AppConfig

from kernel import permissions
from preferences.choices import PERMISSIONS


class PreferencesConfig(AppConfig):
    """Settings of an organization that count without a restart."""

    name = "preferences"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
