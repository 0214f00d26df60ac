"""Vocabularies and bounds of limits."""

from typing import Final, TypeAlias

from django.db.models import TextChoices

Bucket: TypeAlias = tuple[str, str]
"""(scope, name) of what is counted: `("provider", "openai")`. An empty name is not counted."""


class LimitScope(TextChoices):
    """What a rule counts by."""

    AGENT = "agent", "Agent"
    PROVIDER = "provider", "Provider"
    KEY = "key", "Key"


# The name of a rule that holds for each name without a rule of its own, for itself.
EACH: Final = "*"
LIMITS: Final = ("max_concurrent", "requests_per_minute", "tokens_per_minute")
NAME_LENGTH: Final = 128
MOST_CONCURRENT: Final = 100_000
MOST_REQUESTS: Final = 100_000
MOST_TOKENS: Final = 1_000_000_000
# A run waits for its turn itself when that comes within this time; else its task is put off.
PATIENCE_SECONDS: Final = 5.0
