"""Registration of the agents app."""

from django.apps import AppConfig

from agents.choices import PERMISSIONS
from kernel import permissions


class AgentsConfig(AppConfig):
    """The registry of agents, the tools they can use, and the loop that runs one."""

    name = "agents"

    def ready(self) -> None:
        """Fill the catalogues: permissions, and the tools that every hub has."""
        permissions.register(*PERMISSIONS)
        from agents.operations import catalogue  # noqa: PLC0415 - models must be loaded first

        catalogue.register_tools(catalogue.builtin_tools())
