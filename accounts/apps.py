"""Registration of the accounts app."""

from django.apps import AppConfig

from accounts.choices import PERMISSIONS
from kernel import permissions


class AccountsConfig(AppConfig):
    """Organizations, people, their sessions and what they may do."""

    name = "accounts"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
