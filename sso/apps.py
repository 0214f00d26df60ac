"""Registration of the sso app."""

from django.apps import AppConfig

from preferences import choices as preferences
from sso.choices import SETTINGS


class SsoConfig(AppConfig):
    """Logging in with an identity provider of the organization (OpenID Connect)."""

    name = "sso"

    def ready(self) -> None:
        """Fill the settings catalogue, and guard the names of the roles that groups give."""
        preferences.register(*SETTINGS)
        from accounts.operations import roles  # noqa: PLC0415 - models must be loaded first
        from preferences import operations as changing  # noqa: PLC0415 - the same
        from sso import selectors  # noqa: PLC0415 - the same
        from sso.operations import checks  # noqa: PLC0415 - the same

        roles.REFERRED.append(selectors.is_role_named)
        changing.CHECKS.append(checks.check_role_names)
