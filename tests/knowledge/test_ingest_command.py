"""`manage.py ingest`: what it prints, skips and refuses."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization
from audit.models import AuditEvent
from knowledge.models import KnowledgeEntry

Ingest = Callable[..., tuple[str, str]]


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder called docs with two documents."""
    path = tmp_path / "docs"
    path.mkdir()
    (path / "a.md").write_text("# Tasks\n\nA lease.")
    (path / "b.txt").write_text("A fencing token.")
    return path


@pytest.fixture
def ingest(organization: Organization) -> Ingest:
    """Runs the command; gives what it wrote to both streams."""

    def run(*arguments: object, out: StringIO | None = None) -> tuple[str, str]:
        out, err = out or StringIO(), StringIO()
        words = [str(argument) for argument in arguments]
        call_command("ingest", *words, stdout=out, stderr=err, no_color=True)
        return out.getvalue(), err.getvalue()

    return run


def test_a_folder_is_taken_in(ingest: Ingest, docs: Path, organization: Organization) -> None:
    out, err = ingest(docs, "--category", "manual")

    assert out == "docs/a.md: new\ndocs/b.txt: new\n2 files: 2 new\n"
    assert err == ""
    entries = KnowledgeEntry.objects.order_by("source")
    assert [(e.source, e.title, e.category, e.organization_id) for e in entries] == [
        ("docs/a.md", "Tasks", "manual", organization.pk),
        ("docs/b.txt", "b", "manual", organization.pk),
    ]
    events = AuditEvent.objects.filter(action="knowledge.ingest")
    assert {event.actor_type for event in events} == {"system"}


def test_only_what_changed_is_taken_in_again(ingest: Ingest, docs: Path) -> None:
    ingest(docs)
    (docs / "a.md").write_text("# Tasks\n\nAnother lease.")
    (docs / "c.md").write_text("New.")

    out, _ = ingest(docs)

    assert out.splitlines() == [
        "docs/a.md: changed",
        "docs/c.md: new",
        "3 files: 1 new, 1 changed, 1 unchanged",
    ]


def test_a_single_file_is_taken_in(ingest: Ingest, docs: Path) -> None:
    out, _ = ingest(docs / "a.md")

    assert out == "docs/a.md: new\n1 file: 1 new\n"


def test_what_cannot_be_read_is_named_and_skipped(ingest: Ingest, docs: Path) -> None:
    (docs / "bad.md").write_bytes(b"\xff\xfe")

    out, err = ingest(docs)

    assert out.splitlines()[-1] == "2 files: 2 new"
    assert err == (
        "Skipped: docs/bad.md is not UTF-8 text. Save it as UTF-8 and ingest it again.\n"
    )


def test_a_removed_file_keeps_its_entry_unless_pruned(ingest: Ingest, docs: Path) -> None:
    ingest(docs)
    (docs / "b.txt").unlink()

    kept, _ = ingest(docs)
    pruned, _ = ingest(docs, "--prune")

    assert kept == "1 file: 1 unchanged\n"
    assert pruned == "1 file: 1 unchanged\n1 removed whose file is gone\n"
    assert [e.source for e in KnowledgeEntry.objects.alive()] == ["docs/a.md"]


def test_a_file_that_became_unreadable_is_not_pruned(ingest: Ingest, docs: Path) -> None:
    ingest(docs)
    (docs / "b.txt").write_bytes(b"\xff")

    ingest(docs, "--prune")

    assert KnowledgeEntry.objects.alive().count() == 2


def test_the_organization_is_chosen_by_slug(
    ingest: Ingest, docs: Path, other_organization: Organization
) -> None:
    ingest(docs, "--organization", other_organization.slug)

    assert {e.organization_id for e in KnowledgeEntry.objects.all()} == {other_organization.pk}


def test_a_terminal_sees_a_bar(ingest: Ingest, docs: Path) -> None:
    out, _ = ingest(docs, out=Terminal())

    frames = out.split("\r")
    assert frames[2] == f"{'█' * 15}{'░' * 15} 1/2 docs/b.txt\x1b[K"
    assert frames[3] == f"{'█' * 30} 2/2 \x1b[K\n2 files: 2 new\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "does not exist. Give a file or a folder."),
        (["empty"], "holds no files that end in .markdown, .md, .rst, .txt."),
        (["bad"], "None of the files could be read; nothing was ingested."),
        (["docs/a.md", "--prune"], "--prune needs a folder"),
        (["docs", "--organization", "nobody"], "No such organization. There are: "),
        (["docs", "--category", ""], "--category must have from 1 to 64 characters."),
        (["docs", "--category", "x" * 65], "--category must have from 1 to 64 characters."),
    ],
)
def test_what_cannot_be_done_is_said(
    ingest: Ingest, docs: Path, arguments: list[str], sentence: str
) -> None:
    (docs.parent / "empty").mkdir()
    (docs.parent / "bad").mkdir()
    (docs.parent / "bad/a.md").write_bytes(b"\xff")

    with pytest.raises(CommandError, match=sentence.replace(".", r"\.")):
        ingest(docs.parent / arguments[0], *arguments[1:])

    assert not KnowledgeEntry.objects.exists()
