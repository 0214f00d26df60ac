"""Registration of the breakers app."""

from django.apps import AppConfig

from events import choices as events


class BreakersConfig(AppConfig):
    """Circuit breakers: who fails too often is not called for a while."""

    name = "breakers"

    def ready(self) -> None:
        """Name the app's events."""
        events.register(events.EventType("breaker.moved", "event.read"))
