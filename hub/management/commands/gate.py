"""`manage.py gate`: take this host out of the traffic, and let it in again."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hub.health import GATE


class Command(BaseCommand):
    """Makes or removes a file that `/readyz` looks for; running requests are not touched."""

    help = "Close or open the gate: while it is closed, /readyz of this host answers 503."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do; without it, say how the gate stands."""
        parser.add_argument("state", nargs="?", choices=("close", "open"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Change it, then say how it stands."""
        gate = settings.HUB_DATA_DIR / GATE
        if options["state"] == "close":
            gate.parent.mkdir(parents=True, exist_ok=True)
            gate.touch()
        elif options["state"] == "open":
            gate.unlink(missing_ok=True)
        self.stdout.write("closed" if gate.exists() else "open")
