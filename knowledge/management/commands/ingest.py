"""`manage.py ingest PATH`: documents into knowledge."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from accounts.models import Organization
from accounts.selectors import people
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand
from kernel.errors import DomainError
from knowledge.choices import Ingested
from knowledge.clients import folder
from knowledge.clients.folder import Found
from knowledge.operations import ingest

BAR_CHARACTERS = 30


class Command(OperatorCommand):
    """Unchanged files cost nothing; a failing file is named and does not stop the others."""

    help = "Take a file, or the .md, .rst and .txt files below a folder, into knowledge."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The path, whose knowledge, and what to do about files that are gone."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--organization", metavar="SLUG", default="")
        parser.add_argument("--category", default="general")
        parser.add_argument(
            "--prune", action="store_true", help="remove entries whose file is gone from the folder"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One transaction a file; raises CommandError if none could be read."""
        organization = _organization(options["organization"])
        found = _found(options["path"], prune=options["prune"])
        if not 0 < len(options["category"]) <= 64:
            raise CommandError("--category must have from 1 to 64 characters.")
        counts: Counter[Ingested] = Counter()
        for document in self._progress(found):
            if outcome := self._ingest(document, organization, options["category"]):
                counts[outcome] += 1
        summary = ", ".join(f"{counts[o]} {o.value}" for o in Ingested if counts[o])
        if not counts:
            raise CommandError("None of the files could be read; nothing was ingested.")
        total = counts.total()
        self.stdout.write(f"{total} file{'s' if total > 1 else ''}: {summary}")
        if options["prune"]:
            self._prune(options["path"], found, organization)

    def _ingest(self, found: Found, organization: Organization, category: str) -> Ingested | None:
        try:
            outcome = ingest.ingest_document(
                organization_id=organization.pk,
                document=folder.read_document(found),
                category=category,
                actor=SYSTEM,
                now=clock.now(),
            )
        except DomainError as error:
            self.stderr.write(f"Skipped: {error.detail}")
            return None
        if not self.stdout.isatty() and outcome is not Ingested.UNCHANGED:
            self.stdout.write(f"{found.source}: {outcome.value}")
        return outcome

    def _prune(self, path: Path, found: Sequence[Found], organization: Organization) -> None:
        removed = ingest.prune_documents(
            organization_id=organization.pk,
            folder=path.resolve().name,
            keep=[document.source for document in found],
            actor=SYSTEM,
            now=clock.now(),
        )
        self.stdout.write(f"{removed} removed whose file is gone")

    def _progress(self, found: Sequence[Found]) -> Iterator[Found]:
        """`found` one by one, with a bar on a terminal."""
        for done, document in enumerate(found):
            _draw(self.stdout, done, len(found), document.source)
            yield document
        _draw(self.stdout, len(found), len(found), "")
        if self.stdout.isatty():
            self.stdout.write("")


def _draw(stream: OutputWrapper, done: int, total: int, name: str) -> None:
    if not stream.isatty():
        return
    filled = BAR_CHARACTERS * done // total
    bar = "█" * filled + "░" * (BAR_CHARACTERS - filled)
    # `ESC [K` clears what a longer name left behind.
    stream.write(f"\r{bar} {done}/{total} {name[-40:]}\x1b[K", ending="")
    stream.flush()


def _organization(slug: str) -> Organization:
    """The one called `slug`, or the first; raises CommandError that names the choice."""
    organizations = people.list_organizations()
    chosen = organizations.filter(slug=slug).first() if slug else organizations.first()
    if chosen is None:
        known = ", ".join(organizations.values_list("slug", flat=True)) or "none yet; run bootstrap"
        raise CommandError(f"No such organization. There are: {known}.")
    return chosen


def _found(path: Path, *, prune: bool) -> list[Found]:
    if not path.exists():
        raise CommandError(f"{path} does not exist. Give a file or a folder.")
    if prune and not path.is_dir():
        raise CommandError("--prune needs a folder: it removes what the folder no longer holds.")
    found = folder.find_documents(path)
    if not found:
        endings = ", ".join(sorted(folder.SUFFIXES))
        raise CommandError(f"{path} holds no files that end in {endings}.")
    return found
