"""Registration of the cost app."""

from django.apps import AppConfig

from cost.choices import PERMISSIONS
from events import choices as events
from kernel import permissions


class CostConfig(AppConfig):
    """What model calls cost: prices, the usage ledger, budgets."""

    name = "cost"

    def ready(self) -> None:
        """Fill the permission catalogue, and name the app's events."""
        permissions.register(*PERMISSIONS)
        events.register(
            events.EventType("budget.threshold", "cost.read"),
            events.EventType("budget.overrun", "cost.read"),
        )
