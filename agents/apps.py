"""Registration of the agents app."""

from django.apps import AppConfig
from django.conf import settings

from agents.choices import EVENTS, PERMISSIONS
from events import choices as events
from kernel import permissions, redaction
from preferences import choices as preferences


class AgentsConfig(AppConfig):
    """The registry of agents, the tools they can use, and the loop that runs one."""

    name = "agents"

    def ready(self) -> None:
        """Fill the catalogues: permissions, settings, and the tools that every hub has."""
        permissions.register(*PERMISSIONS)
        events.register(*EVENTS)
        from accounts.operations import grants  # noqa: PLC0415 - models must be loaded first
        from agents import selectors  # noqa: PLC0415 - the same
        from agents.operations import catalogue, llm_settings  # noqa: PLC0415 - the same

        grants.OBJECTS["agent_id"] = selectors.has_agent
        preferences.register(*llm_settings.SETTINGS)
        catalogue.register_tools(catalogue.builtin_tools())
        redaction.SOURCES.append(catalogue.list_marks)
        redaction.note_opened(*(found.api_key for found in settings.HUB_PROVIDERS.values()))
