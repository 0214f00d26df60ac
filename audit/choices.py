"""The permissions of audit."""

from typing import Final

from kernel.permissions import Permission

PERMISSIONS: Final = (
    Permission("audit.read", "Observability", "Read the audit trail.", reads=True),
    Permission("audit.export", "Observability", "Take the audit trail out.", steers=True),
)
