"""Registration of the preferences app."""

from django.apps import AppConfig

from kernel import permissions, redaction
from preferences.choices import PERMISSIONS


class PreferencesConfig(AppConfig):
    """Settings of an organization that count without a restart."""

    name = "preferences"

    def ready(self) -> None:
        """Fill the permission catalogue; say by what secret settings are recognised."""
        permissions.register(*PERMISSIONS)
        from preferences.selectors import values  # noqa: PLC0415 - models must be loaded first

        redaction.SOURCES.append(values.list_marks)
