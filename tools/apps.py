"""Registration of the tools app."""

from django.apps import AppConfig


class ToolsConfig(AppConfig):
    """Tools: sources, catalogue, policies."""

    name = "tools"
