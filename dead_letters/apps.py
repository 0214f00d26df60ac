"""Registration of the dead_letters app."""

from django.apps import AppConfig


class DeadLettersConfig(AppConfig):
    """Tasks that failed for good."""

    name = "dead_letters"
