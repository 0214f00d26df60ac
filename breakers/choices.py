"""Vocabularies and limits of circuit breakers."""

from typing import Final

from django.db.models import TextChoices


class BreakerState(TextChoices):
    """Whether calls go out (contract 003 B15)."""

    CLOSED = "closed", "Closed"
    OPEN = "open", "Open"
    HALF_OPEN = "half_open", "Half open"


class Forced(TextChoices):
    """What a person set; it stays until a person takes it back."""

    NOT = "", "Not forced"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class Outcome(TextChoices):
    """How a call ended, as far as it tells something about who was called."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    UNKNOWN = "unknown", "Unknown"


# `provider:openai`, `host:api.example.com`: a kind, and who is called.
NAME: Final = r"[a-z0-9][a-z0-9._:-]{0,127}"


PROVIDER: Final = "provider:"


def breaker_of(provider: str) -> str:
    """The breaker's name before the model calls of a provider."""
    return f"{PROVIDER}{provider}"


def provider_of(name: str) -> str:
    """The provider behind a breaker of that name; empty if it stands before something else."""
    return name.removeprefix(PROVIDER) if name.startswith(PROVIDER) else ""


FAILURE_THRESHOLD: Final = 5
WINDOW_SECONDS: Final = 120
RECOVERY_TIMEOUT_SECONDS: Final = 60
SUCCESS_THRESHOLD: Final = 3
TRIAL_TIMEOUT_SECONDS: Final = 300
MOST_CALLS: Final = 1_000
MOST_SECONDS: Final = 86_400
