"""`manage.py export_audit`: a chain as JSON lines that `audit.export_verifier` checks."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from audit import operations
from audit.models import AuditChain
from audit.selectors.exports import Export
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """The same as `GET /api/v1/audit-events/export`, for who sits at the machine."""

    help = "Write an organization's audit chain to a file, as signed JSON lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which organization, which time, which file."""
        parser.add_argument("output", type=Path, help="the file to write; it must not exist yet")
        parser.add_argument("--organization", type=UUID, help="id; needed if there are several")
        parser.add_argument("--since", type=_instant, help="2026-01-31T12:00:00Z; not before it")
        parser.add_argument("--until", type=_instant, help="before it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Written as it is read: the chain may be larger than the memory."""
        extent = operations.begin_export(
            organization_id=options["organization"] or self._only_chain(),
            since=options["since"],
            until=options["until"],
            actor=SYSTEM,
            now=clock.now(),
        )
        export = Export(extent)
        try:
            with options["output"].open("xb") as file:
                while not export.is_over:
                    file.write(export.next())
        except FileExistsError:
            raise CommandError("The file exists. Name another one.") from None
        count = extent.last - extent.first + 1
        self.stdout.write(f"{count} rows, {extent.first} to {extent.last}.")

    def _only_chain(self) -> UUID:
        found = list(AuditChain.objects.exclude(pk=UUID(int=0)).values_list("pk", flat=True)[:2])
        if len(found) != 1:
            raise CommandError("Name one with --organization; verify_audit lists their ids.")
        return found[0]


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
