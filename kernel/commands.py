"""Commands by which the operator of this machine works on every organization's rows."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand

from kernel import clock, tenancy

# Told the name of each command before it runs, and when; `audit` writes it down.
ENTERED: Final[list[Callable[[str, datetime], None]]] = []


class OperatorCommand(BaseCommand):
    """The audited switch into the platform's scope (`kernel.tenancy`).

    Whoever may run commands on this machine holds the hub's key and its database: they are the
    platform's operators, and there are no others.
    """

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Django's, in the platform's scope."""
        with tenancy.platform():
            name = type(self).__module__.rpartition(".")[2]
            for tell in ENTERED:
                tell(name, clock.now())
            return super().execute(*args, **options)
