"""Registration of the audit app."""

from django.apps import AppConfig

from audit.choices import PERMISSIONS
from kernel import commands, permissions


class AuditConfig(AppConfig):
    """Hash-chained record of who did what."""

    name = "audit"

    def ready(self) -> None:
        """Fill the permission catalogue, and hear of commands and refusals."""
        permissions.register(*PERMISSIONS)
        from audit import operations  # noqa: PLC0415 - models must be loaded first
        from audit.permissions import note_refusal  # noqa: PLC0415 - the same
        from kernel.http import problems  # noqa: PLC0415 - the same

        commands.ENTERED.append(operations.note_command)
        problems.DENIED.append(note_refusal)
