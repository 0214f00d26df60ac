"""`manage.py verify_audit`: is every organization's chain whole?"""

from typing import Any

from django.core.management.base import CommandError

from audit.selectors import chain
from kernel import clock
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Walks each chain; names the first broken, missing or unsealed row and exits with 1."""

    help = "Check that every organization's audit chain is whole."

    def handle(self, *args: Any, **options: Any) -> None:
        """One line an organization."""
        faults = 0
        for verdict in chain.verify_all(now=clock.now()):
            faults += verdict.fault is not None
            finding = verdict.fault.sentence if verdict.fault else "whole"
            self.stdout.write(f"{verdict.organization_id}: {verdict.checked} rows, {finding}")
        if faults:
            raise CommandError(f"{faults} chain(s) are not whole.")
