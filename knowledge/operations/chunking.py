"""Cutting a document into passages. Pure: a text in, spans of that text out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

# About what a model quotes and a person reads at a glance.
TARGET_CHARACTERS: Final = 1200
# Fenced code up to this length stays whole; nothing is longer.
MAX_CHARACTERS: Final = 2400
# A longer line is prose that happens to begin with a hash, or a rule across the page.
HEADING_CHARACTERS: Final = 200
HEADING_SEPARATOR: Final = " > "
BLANK_LINE: Final = "\n\n"
HALF: Final = TARGET_CHARACTERS // 2

_ATX: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")

Kind = Literal["heading", "code", "paragraph"]
# What is left out between two pieces: all white space, but in code only the ends of lines.
_SPACE: Final[dict[Kind, re.Pattern[str]]] = {
    "code": re.compile(r"\n*"),
    "paragraph": re.compile(r"\s*"),
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, and the headings it stands under, outermost first."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive lines that belong together; `level` and `title` are a heading's."""

    kind: Kind
    text: str
    level: int = 0
    title: str = ""


def chunk(content: str, *, markdown: bool) -> list[Chunk]:
    """`content` in order and whole: joined, the texts differ from it only in white space.

    Headings (of Markdown alone) begin a chunk and are part of its text; a heading with nothing
    under it goes before the next one. Texts are at most 2,400 characters long, and 1,200 but for
    fenced code. Words are cut only if they are longer than that.
    """
    blocks = _markdown_blocks(content) if markdown else _paragraphs(content.splitlines())
    return list(_gather(blocks))


def first_heading(content: str) -> str:
    """The text of the first Markdown heading, or nothing."""
    return next((b.title for b in _markdown_blocks(content) if b.kind == "heading"), "")


class _Draft:
    """The chunk that is being filled: headings, then the body under them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.size = 0  # Characters, with the blank line behind each text.
        self.has_body = False

    def add(self, block: _Block, text: str) -> None:
        self.texts.append(text)
        self.size += len(text) + len(BLANK_LINE)
        self.has_body = self.has_body or block.kind != "heading"

    def chunk(self, path: list[_Block]) -> Chunk:
        heading = HEADING_SEPARATOR.join(block.title for block in path)
        return Chunk(heading, BLANK_LINE.join(self.texts))


def _gather(blocks: Iterator[_Block]) -> Iterator[Chunk]:
    path: list[_Block] = []
    draft = _Draft()
    for block in blocks:
        if block.kind == "heading":
            # Headings alone fill no more than half a chunk, so that a body has room.
            if draft.has_body or (draft.texts and draft.size + len(block.text) > HALF):
                yield draft.chunk(path)
                draft = _Draft()
            path = [*(above for above in path if above.level < block.level), block]
            draft.add(block, block.text)
            continue
        for piece in _pieces(block, taken=0 if draft.has_body else draft.size):
            if draft.has_body and draft.size + len(piece) > TARGET_CHARACTERS:
                yield draft.chunk(path)
                draft = _Draft()
            draft.add(block, piece)
    if draft.texts:
        yield draft.chunk(path)


def _pieces(block: _Block, *, taken: int) -> Iterator[str]:
    """The block in pieces of bounded length; the first leaves room for `taken` characters."""
    limit = MAX_CHARACTERS if block.kind == "code" else TARGET_CHARACTERS
    text, start, room = block.text.rstrip(), 0, limit - taken
    while start < len(text):
        end = _cut(text, start, room) if len(text) - start > room else len(text)
        piece = text[start:end].rstrip()
        if piece.strip():
            yield piece
            room = limit
        start = _SPACE[block.kind].match(text, end).end()  # type: ignore[union-attr]


def _cut(text: str, start: int, room: int) -> int:
    """Where to end a piece: behind a line, a sentence or else a word, as late as can be."""
    window = text[start : start + room + 1]
    for boundary, earliest in ((r"\n", room // 2), (r"(?<=[.!?])\s", room // 2), (r"\s", 1)):
        places = [hit.start() for hit in re.finditer(boundary, window) if hit.start() >= earliest]
        if places and window[: places[-1]].strip():
            return start + places[-1]
    return start + room


def _paragraphs(lines: list[str]) -> Iterator[_Block]:
    held: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            held.append(line)
        elif held:
            yield _Block("paragraph", "\n".join(held))
            held = []


def _markdown_blocks(content: str) -> Iterator[_Block]:
    lines = content.splitlines()
    held: list[str] = []  # Lines of the paragraph before `at`.
    at = 0
    while at < len(lines):
        taken, block = _special(lines, at, after_text=bool(held and held[-1].strip()))
        if block is None:
            held.append(lines[at])
            at += 1
            continue
        yield from _paragraphs(held)
        yield block
        held = []
        at += taken
    yield from _paragraphs(held)


def _special(lines: list[str], at: int, *, after_text: bool) -> tuple[int, _Block | None]:
    """The heading or fenced code that begins at line `at`, and how many lines it takes."""
    line = lines[at]
    if fence := _FENCE.match(line):
        taken = _fence_length(lines, at, fence.group(1))
        return taken, _Block("code", "\n".join(lines[at : at + taken]))
    if len(line) > HEADING_CHARACTERS:
        return 0, None
    if hit := _ATX.match(line):
        return 1, _Block("heading", line, len(hit.group(1)), hit.group(2))
    under = lines[at + 1] if at + 1 < len(lines) else ""
    below = _UNDERLINE.match(under) if len(under) <= HEADING_CHARACTERS else None
    if below and line.strip() and not after_text and not _UNDERLINE.match(line):
        level = 1 if "=" in below.group(1) else 2
        return 2, _Block("heading", "\n".join(lines[at : at + 2]), level, line.strip())
    return 0, None


def _fence_length(lines: list[str], at: int, fence: str) -> int:
    """Lines of the fenced code at `at`; one that is never closed runs to the end."""
    closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    for end in range(at + 1, len(lines)):
        if closing.match(lines[end]):
            return end + 1 - at
    return len(lines) - at
