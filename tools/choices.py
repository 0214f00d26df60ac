"""Vocabularies, limits and permissions of tools."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission

PERMISSIONS: Final = (
    Permission("tool.read", "Tools", "See which tools agents can use.", reads=True),
)


class SourceKind(TextChoices):
    """How a source speaks."""

    MCP = "mcp", "MCP server"
    OPENAPI = "openapi", "OpenAPI service"
    SERVICE = "service", "Service with /api/mcp-tools"


class SideEffect(TextChoices):
    """What a call leaves behind outside of the hub."""

    NONE = "none", "None"
    READ = "read", "Reads"
    WRITE = "write", "Writes"


NAME: Final = r"[a-z0-9][a-z0-9_-]{0,39}"
NAME_RULE: Final = "Use letters a-z, digits and _ - (at most 40), a letter or digit first."
# The service of the tools that every hub has.
BUILTIN: Final = "builtin"
# `agent:<name>` is an agent that is called as a tool.
RESERVED: Final = frozenset({BUILTIN, "agent"})

REFRESH_SECONDS: Final = 300
LEAST_REFRESH_SECONDS: Final = 30
MOST_REFRESH_SECONDS: Final = 86_400
TIMEOUT_SECONDS: Final = 30
MOST_TIMEOUT_SECONDS: Final = 600
OUTPUT_LIMIT_BYTES: Final = 50_000
MOST_OUTPUT_BYTES: Final = 1_000_000

MOST_TOOLS: Final = 500
MOST_DOCUMENT_BYTES: Final = 4_000_000
MOST_DESCRIPTION: Final = 4_000
# How long a source is asked for its tools (contract 004 C3).
LIST_SECONDS: Final = 10
# How long whoever refreshes a source has it for itself.
CLAIM_SECONDS: Final = 60


def breaker_of(source: str) -> str:
    """The circuit breaker before the calls of a source's tools."""
    return f"tool:{source}"
