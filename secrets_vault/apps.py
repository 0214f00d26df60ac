"""Registration of the secrets_vault app."""

from django.apps import AppConfig


class SecretsVaultConfig(AppConfig):
    """Secrets at rest, used by name."""

    name = "secrets_vault"
