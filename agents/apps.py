"""Registration of the agents app."""

from uuid import UUID

from django.apps import AppConfig
from django.conf import settings

from agents.choices import EVENTS, PERMISSIONS
from agents.runtime.providers import PROVIDERS
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
        from cost.operations import budgets  # noqa: PLC0415 - the same
        from cost.selectors import reports  # noqa: PLC0415 - the same
        from limits.operations import rules  # noqa: PLC0415 - the same
        from tools.operations import policies  # noqa: PLC0415 - the same

        grants.OBJECTS["agent_id"] = selectors.has_agent
        policies.AGENTS.append(selectors.find_agents)
        budgets.THERE["agent"] = selectors.has_agent
        rules.THERE["agent"] = lambda organization_id, name: selectors.has_agent(
            organization_id, UUID(name)
        )
        rules.THERE["provider"] = lambda _, name: name in PROVIDERS
        reports.NAMES.append(selectors.name_agents)
        preferences.register(*llm_settings.SETTINGS)
        catalogue.register_tools(catalogue.builtin_tools())
        redaction.SOURCES.append(catalogue.list_marks)
        redaction.note_opened(*(found.api_key for found in settings.HUB_PROVIDERS.values()))
