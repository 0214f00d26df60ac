"""Registration of the events app."""

from django.apps import AppConfig

from events.choices import PERMISSIONS
from kernel import permissions


class EventsConfig(AppConfig):
    """The outbox, its relay, and live events."""

    name = "events"

    def ready(self) -> None:
        """Fill the permission catalogue."""
        permissions.register(*PERMISSIONS)
