"""`manage.py web`: the API, the console and `/ws` on one port."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from hub import database_role
from hub.front import server


class Command(BaseCommand):
    """Serves until SIGTERM or Ctrl-C, then finishes what has begun (HUB_DRAIN_SECONDS)."""

    help = "Serve the API, the console and WebSockets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen and with how many processes."""
        parser.add_argument("--bind", default=settings.HUB_BIND, help="address (%(default)s)")
        parser.add_argument("--port", type=int, default=settings.HUB_PORT, help="(%(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="processes; 0: one per CPU")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuses in one line when the address cannot be had."""
        database_role.refuse_one_above_policies()
        host, port = options["bind"], options["port"]
        try:
            listening = server.bind(host=host, port=port)
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None) or 0
            reason = os.strerror(number) if number > 0 else str(error)
            raise CommandError(
                f"Cannot listen on {host}:{port} ({reason}). Choose another --port or --bind."
            ) from None
        workers = options["workers"] or os.cpu_count() or 1
        server.serve(listening, workers=workers, drain_seconds=settings.HUB_DRAIN.total_seconds())
