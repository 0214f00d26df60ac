"""Registration of the cost app."""

from django.apps import AppConfig

from cost.choices import PERMISSIONS
from kernel import permissions


class CostConfig(AppConfig):
    """What model calls cost: prices and the usage ledger."""

    name = "cost"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
