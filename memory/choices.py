"""Vocabularies of memory."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission
from preferences.choices import Setting

LEAST, USUAL, MOST = 1, 5, 10
CONTENT_CHARACTERS: Final = 10_000
KEPT: Final = "general.memories_per_agent"


class MemoryCategory(TextChoices):
    """What kind of thing an agent remembers (contract 003 B18)."""

    FACT = "fact", "Fact"
    PREFERENCE = "preference", "Preference"
    PROCEDURE = "procedure", "Procedure"
    CONTEXT = "context", "Context"
    GENERAL = "general", "General"


PERMISSIONS: Final = (
    Permission("memory.read", "Agents", "See what agents remember.", reads=True),
    Permission("memory.edit", "Agents", "Write, change and delete memories of agents."),
)
SETTINGS: Final = (
    Setting(
        key=KEPT,
        kind="integer",
        default=100,
        minimum=1,
        maximum=1000,
        description="How many memories an agent keeps; the least important go first.",
    ),
)
