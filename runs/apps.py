"""Registration of the runs app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Running an agent and waiting for it."""

    name = "runs"
