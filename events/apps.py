"""Registration of the events app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """The outbox, its relay, and live events."""

    name = "events"
