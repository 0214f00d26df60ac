"""Registration of the memory app."""

from django.apps import AppConfig


class MemoryConfig(AppConfig):
    """What agents remember."""

    name = "memory"
