"""`manage.py scheduler`: Celery beat for the periods that jobs declare beside themselves."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hub.celery import app


class Command(BaseCommand):
    """Sends the periodic messages. Any number may run: sweeps find nothing twice."""

    help = "Ring the periodic jobs."

    def handle(self, *args: Any, **options: Any) -> None:
        """Become Celery beat, with its notes in the data folder."""
        folder = settings.HUB_DATA_DIR
        folder.mkdir(parents=True, exist_ok=True)
        # Beat's file only says when each job was last rung; losing it rings each once at start.
        beat = app.Beat(
            loglevel="WARNING", schedule=str(folder / "schedule.db"), quiet=True, pidfile=None
        )
        beat.run()
