"""Registration of the tools app."""

from django.apps import AppConfig

from events import choices as events
from kernel import loop, permissions
from tools.choices import PERMISSIONS


class ToolsConfig(AppConfig):
    """Tools: sources, catalogue, policies."""

    name = "tools"

    def ready(self) -> None:
        """Fill the catalogues; connections end with the loop that they are on."""
        permissions.register(*PERMISSIONS)
        events.register(events.EventType("tool_source.refreshed", "tool.read"))
        events.register(events.EventType("tool_source.redeclared", "tool.read"))
        from accounts.operations import bootstrap  # noqa: PLC0415 - models must be loaded first
        from approvals.operations import rules  # noqa: PLC0415 - the same
        from tools import selectors  # noqa: PLC0415 - the same
        from tools.clients import mcp  # noqa: PLC0415 - the same
        from tools.operations import builtins  # noqa: PLC0415 - the same

        bootstrap.GIVEN.append(builtins.give)
        loop.CLOSING.append(mcp.close)
        rules.NAMED_BY.append(selectors.names_rule)
