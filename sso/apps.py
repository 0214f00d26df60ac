"""Registration of the sso app."""

from django.apps import AppConfig

from preferences import choices as preferences
from sso.choices import SETTINGS


class SsoConfig(AppConfig):
    """Logging in with an identity provider of the organization (OpenID Connect)."""

    name = "sso"

    def ready(self) -> None:
        """Fill the settings catalogue."""
        preferences.register(*SETTINGS)
