"""Registration of the memory app."""

from django.apps import AppConfig

from kernel import permissions
from memory.choices import PERMISSIONS, SETTINGS
from preferences import choices as preferences


class MemoryConfig(AppConfig):
    """What agents remember."""

    name = "memory"

    def ready(self) -> None:
        """Fill the catalogues: permissions, settings, tools."""
        permissions.register(*PERMISSIONS)
        preferences.register(*SETTINGS)
        from agents.operations import catalogue  # noqa: PLC0415 - models must be loaded first
        from memory.operations import tools  # noqa: PLC0415 - the same

        catalogue.register_tools(tools.memory_tools())
