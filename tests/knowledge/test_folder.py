"""Reading documents from a folder."""

import os
from pathlib import Path

import pytest

from knowledge.clients import folder
from knowledge.clients.folder import MAX_BYTES, Document, Found
from knowledge.errors import DocumentUnreadable


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """An empty folder called docs."""
    path = tmp_path / "docs"
    path.mkdir()
    return path


def write(path: Path, content: str | bytes = "A lease.") -> Path:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> Document:
    return folder.read_document(Found(path, f"docs/{path.name}"))


def test_documents_are_found_below_the_folder_in_order(docs: Path) -> None:
    for name in ("b.md", "a.TXT", "deep/er/c.rst", "image.png", ".hidden.md", ".git/d.md"):
        write(docs / name)

    found = folder.find_documents(docs)

    assert [f.source for f in found] == ["docs/a.TXT", "docs/b.md", "docs/deep/er/c.rst"]


def test_a_file_has_the_source_that_its_folder_would_give_it(docs: Path) -> None:
    file = write(docs / "a.md")

    assert folder.find_documents(file) == folder.find_documents(docs) == [Found(file, "docs/a.md")]


def test_links_are_not_followed(docs: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "secrets/keys.md")
    (docs / "file.md").symlink_to(outside)
    (docs / "folder").symlink_to(outside.parent)
    (docs / "loop").symlink_to(docs)
    (docs / "broken.md").symlink_to(tmp_path / "nowhere.md")

    assert folder.find_documents(docs) == []


def test_a_pipe_is_no_document(docs: Path) -> None:
    os.mkfifo(docs / "pipe.md")

    assert folder.find_documents(docs) == []


def test_a_document_is_read_as_text(docs: Path) -> None:
    markdown = read(write(docs / "a.md", b"\xef\xbb\xbf# \xc3\xa9t\xc3\xa9\r\n"))
    plain = read(write(docs / "b.txt", "Plain."))

    assert markdown == Document("docs/a.md", "a", "# été\r\n", is_markdown=True)
    assert plain == Document("docs/b.txt", "b", "Plain.", is_markdown=False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfeA", "is not UTF-8 text"),
        (b"A\x00B", "is binary"),
        (b" \n", "is empty"),
        (b"x" * (MAX_BYTES + 1), "is over 2 MB"),
    ],
    ids=["UTF-16", "NUL", "blank", "large"],
)
def test_what_is_no_text_is_named(docs: Path, content: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=f"^docs/a.md {reason}"):
        read(write(docs / "a.md", content))


def test_a_file_that_is_gone_is_named(docs: Path) -> None:
    with pytest.raises(DocumentUnreadable, match=r"cannot be read\. Check its permissions\."):
        read(docs / "gone.md")


def test_names_that_no_database_holds_are_refused(docs: Path) -> None:
    file = write(docs / "a.md")

    with pytest.raises(DocumentUnreadable, match="name that is not UTF-8"):
        folder.read_document(Found(file, "docs/\udcff.md"))
    with pytest.raises(DocumentUnreadable, match="path of over 1,000 bytes"):
        folder.read_document(Found(file, "é" * 501))
