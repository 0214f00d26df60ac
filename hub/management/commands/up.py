"""`manage.py up`: the hub in one command; see `hub.launch.up`."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from hub.launch import up


class Command(BaseCommand):
    """Only for `manage.py help`: `manage.py` itself runs `up` without loading Django."""

    help = "Start servers, web, worker and scheduler, and ask the hub its first question."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Those of `hub.launch.up`."""
        up.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """End with the code of `up`."""
        names = up.Options.__dataclass_fields__
        sys.exit(up.run(up.Options(**{name: options[name] for name in names})))
