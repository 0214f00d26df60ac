"""Registration of the cost app."""

from django.apps import AppConfig


class CostConfig(AppConfig):
    """What model calls cost: prices and the usage ledger."""

    name = "cost"
