"""Registration of the secrets_vault app."""

from django.apps import AppConfig

from kernel import permissions, redaction
from secrets_vault.choices import PERMISSIONS


class SecretsVaultConfig(AppConfig):
    """Secrets at rest, used by name."""

    name = "secrets_vault"

    def ready(self) -> None:
        """Fill the permission catalogue; say by what the vault's values are recognised."""
        permissions.register(*PERMISSIONS)
        from secrets_vault import selectors  # noqa: PLC0415 - models must be loaded first

        redaction.SOURCES.append(selectors.list_marks)
