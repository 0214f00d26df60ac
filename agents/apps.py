"""Registration of the agents app."""

from django.apps import AppConfig

from agents.choices import PERMISSIONS
from kernel import permissions
from preferences import choices as preferences


class AgentsConfig(AppConfig):
    """The registry of agents, the tools they can use, and the loop that runs one."""

    name = "agents"

    def ready(self) -> None:
        """Fill the catalogues: permissions, settings, and the tools that every hub has."""
        permissions.register(*PERMISSIONS)
        from accounts.operations import grants  # noqa: PLC0415 - models must be loaded first
        from agents import selectors  # noqa: PLC0415 - the same
        from agents.operations import catalogue, llm_settings  # noqa: PLC0415 - the same

        grants.OBJECTS["agent_id"] = selectors.has_agent
        preferences.register(*llm_settings.SETTINGS)
        catalogue.register_tools(catalogue.builtin_tools())
