"""Registration of the dead_letters app."""

from django.apps import AppConfig


class DeadLettersConfig(AppConfig):
    """Tasks that failed for good."""

    name = "dead_letters"

    def ready(self) -> None:
        """Hear of every task that fails, or works again."""
        from dead_letters.operations import arrivals  # noqa: PLC0415 - models must be loaded first
        from tasks.operations import records  # noqa: PLC0415 - models must be loaded first

        records.MOVED.append(arrivals.follow_moves)
