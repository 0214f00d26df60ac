"""Registration of the agents app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """The registry of agents, the tools they can use, and the loop that runs one."""

    name = "agents"

    def ready(self) -> None:
        """Fill the tool catalogue with what every hub has."""
        from agents.operations import catalogue  # noqa: PLC0415 - models must be loaded first

        catalogue.register_tools(catalogue.builtin_tools())
