"""Reading documents from the file system."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knowledge.errors import DocumentUnreadable

MARKDOWN: Final = frozenset({".md", ".markdown"})
# reStructuredText underlines its headings as Markdown may, so one reader serves both.
SUFFIXES: Final = MARKDOWN | {".rst", ".txt"}
MAX_BYTES: Final = 2_000_000
# A source is unique in the database, and an index entry there holds 2,704 bytes.
SOURCE_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class Document:
    """A text file as read. `source` is its path from the folder's own name on."""

    source: str
    name: str
    content: str
    is_markdown: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read, and the source that it will be cited as."""

    path: Path
    source: str


def find_documents(path: Path) -> list[Found]:
    """The documents below `path`, or `path` itself if it is a file, in order of their sources.

    Hidden files and folders are left out, and links are not followed: they could lead out of
    `path`. A folder that cannot be opened is listed, so that reading it says so.
    """
    root = path.resolve()
    if root.is_file():
        return [Found(root, f"{root.parent.name}/{root.name}".lstrip("/"))]
    return [
        Found(file, f"{root.name}/{file.relative_to(root).as_posix()}".lstrip("/"))
        for file in sorted(_walk(root))
    ]


def read_document(found: Found) -> Document:
    """The document as text; raises DocumentUnreadable for what is not text or is over 2 MB."""
    _check_name(found.source)
    try:
        with found.path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError:
        raise DocumentUnreadable(f"{found.source} cannot be read. Check its permissions.") from None
    if len(raw) > MAX_BYTES:
        raise DocumentUnreadable(f"{found.source} is over 2 MB. Split it.")
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentUnreadable(
            f"{found.source} is not UTF-8 text. Save it as UTF-8 and ingest it again."
        ) from None
    if "\x00" in content:
        raise DocumentUnreadable(f"{found.source} is binary. Leave it out.")
    if not content.strip():
        raise DocumentUnreadable(f"{found.source} is empty. Leave it out.")
    return Document(
        source=found.source,
        name=found.path.stem,
        content=content,
        is_markdown=found.path.suffix.lower() != ".txt",
    )


def _check_name(source: str) -> None:
    try:
        length = len(source.encode())
    except UnicodeEncodeError:
        raise DocumentUnreadable(f"{source!a} has a name that is not UTF-8. Rename it.") from None
    if length > SOURCE_BYTES:
        raise DocumentUnreadable(f"{source[-40:]} has a path of over 1,000 bytes. Shorten it.")


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = [e for e in folder.iterdir() if not (e.name.startswith(".") or e.is_symlink())]
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.suffix.lower() in SUFFIXES and entry.is_file():
            yield entry
