"""Registration of the kernel with Django."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The floor everything stands on; holds no domain nouns."""

    name = "kernel"
