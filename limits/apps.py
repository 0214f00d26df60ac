"""Registration of the limits app."""

from django.apps import AppConfig


class LimitsConfig(AppConfig):
    """How much may run at once, and be asked of models in a minute."""

    name = "limits"
