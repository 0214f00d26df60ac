"""Vocabularies and permissions of audit."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class AuditStatus(TextChoices):
    """What became of what somebody set out to do."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    DENIED = "denied", "Denied"


# What can be wrong with a chain first.
FAULTS: Final = ("broken", "missing", "unsealed", "forged", "unanchored")
PERMISSIONS: Final = (
    Permission("audit.read", "Observability", "Read the audit trail.", reads=True),
    Permission("audit.export", "Observability", "Take the audit trail out.", steers=True),
)
