"""Vocabularies and permissions of audit."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class AuditStatus(TextChoices):
    """What became of what somebody set out to do."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    DENIED = "denied", "Denied"


PERMISSIONS: Final = (
    Permission("audit.read", "Observability", "Read the audit trail.", reads=True),
    Permission("audit.export", "Observability", "Take the audit trail out.", steers=True),
)
