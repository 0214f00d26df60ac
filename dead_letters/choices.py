"""Vocabularies of dead letters."""

from typing import Final

from django.db.models import TextChoices

from agents.runtime.spec import FailureKind

REDRIVE_CAP: Final = 100
# What may pass by itself: the same task may well succeed later.
TRANSIENT: Final = frozenset(
    {
        FailureKind.PROVIDER_UNAVAILABLE,
        FailureKind.PROVIDER_TIMEOUT,
        FailureKind.PROVIDER_RATE_LIMITED,
        FailureKind.PROVIDER_BAD_RESPONSE,
        FailureKind.TIMEOUT,
        FailureKind.INTERNAL,
    }
)


class LetterStatus(TextChoices):
    """How a dead letter stands."""

    OPEN = "open", "Open"
    REDRIVEN = "redriven", "Redriven"
    REMOVED = "removed", "Removed"
