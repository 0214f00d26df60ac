"""Registration of the approvals app."""

from django.apps import AppConfig

from approvals.choices import PERMISSIONS, READ, SETTINGS
from events import choices as events
from kernel import permissions
from preferences import choices as preferences


class ApprovalsConfig(AppConfig):
    """What waits until people allow it."""

    name = "approvals"

    def ready(self) -> None:
        """Name the app's permissions, settings and events."""
        permissions.register(*PERMISSIONS)
        preferences.register(*SETTINGS)
        events.register(
            events.EventType("approval.requested", READ),
            events.EventType("approval.decided", READ),
        )
