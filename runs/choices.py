"""Vocabularies and limits of direct runs."""

from typing import Final

from django.db.models import TextChoices


class RunStatus(TextChoices):
    """What a run came to (contract decisions, 33)."""

    SUCCESS = "success", "Success"
    ERROR = "error", "Error"
    TIMEOUT = "timeout", "Timeout"
    CANCELLED = "cancelled", "Cancelled"


# `error_kind` of a run that the hub does not wait for any longer, but that goes on.
GOES_ON: Final = "goes_on"
LONGEST_SECONDS: Final = 600
# Beside the agent's own limit: for a slot, or a worker that is lost.
MARGIN_SECONDS: Final = 30
# Of one organization, assigned or in progress, over all processes. What waits for a person is free.
MOST_AWAITED: Final = 200
RETRY_SECONDS: Final = 2
