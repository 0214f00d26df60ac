"""Secrets that the hub knows, kept out of what it stores, shows, sends and logs.

Apps that hold secrets give their fingerprints through `SOURCES`. Each process remembers those of an
organization as long as its stamp in Redis holds, and at most ten seconds; no value is remembered.
"""

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from kernel import sealing, tenancy
from kernel.errors import Invalid
from kernel.fingerprints import Hasher, Index, Mark
from kernel.stamps import Stamps

REDACTED: Final = "[redacted]"
# The organization's secrets, as marks of its hasher; apps append theirs in `AppConfig.ready`.
SOURCES: Final[list[Callable[[UUID, Hasher], Iterable[Mark]]]] = []
# Also how late a write counts if its stamp could not be renewed.
KEPT_SECONDS: Final = 10.0
MOST: Final = 1_000
MOST_OPENED: Final = 1_000
# What is live and has secrets of more characters over several words is shown when it is whole.
LIVE_SPACED: Final = 4_096
# Smaller numbers are no secrets (`kernel.fingerprints.LEAST_DIGITS`).
_LEAST_NUMBER: Final = 10**11
_stamps: Final = Stamps("secrets")

# Secrets of well-known makers, and the hub's own keys (`accounts.selectors.keys`), which nobody has
# to know to recognise them: how each begins, and what follows.
_SHAPES: Final = (
    ("sk-", r"(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{20,}"),
    ("sk_live_", r"[A-Za-z0-9]{16,}"),
    ("ghp_", r"[A-Za-z0-9]{30,}"),
    ("gho_", r"[A-Za-z0-9]{30,}"),
    ("ghu_", r"[A-Za-z0-9]{30,}"),
    ("ghs_", r"[A-Za-z0-9]{30,}"),
    ("ghr_", r"[A-Za-z0-9]{30,}"),
    ("github_pat_", r"[A-Za-z0-9_]{30,}"),
    ("glpat-", r"[A-Za-z0-9_-]{20,}"),
    ("xoxb-", r"[A-Za-z0-9-]{20,}"),
    ("xoxp-", r"[A-Za-z0-9-]{20,}"),
    ("AKIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("AIza", r"[0-9A-Za-z_-]{35}"),
    ("ahk_", r"[A-Za-z0-9_-]{40,}"),
)
_PEM: Final = "-----BEGIN "
LONGEST_PEM: Final = 20_000
_PEM_END: Final = re.compile("-----END [A-Z ]{0,40}-----")
_BREAK: Final = r"(?:\s|\\[nr])*"
# Linear: what is between two rows of hyphens is read once.
_PEM_BLOCK: Final = re.compile(
    rf"{_PEM}[A-Z ]{{0,40}}PRIVATE KEY-----(?={_BREAK}(?:[A-Za-z0-9+/=]{{16}}|[A-Za-z-]{{4,40}}: ))"
    rf"(?:[^-]|-(?!----)){{0,{LONGEST_PEM}}}(?:-----END [A-Z ]{{0,40}}-----)?"
)
_SHAPE: Final = re.compile(
    "(?<![A-Za-z0-9])(?:" + "|".join(re.escape(head) + tail for head, tail in _SHAPES) + ")"
)
_HEADS: Final = tuple(head for head, _ in _SHAPES)
LONGEST_SHAPE: Final = 256


class SecretInText(Invalid):
    """A value that the hub keeps secret stands in a text that is stored in the clear."""

    code = "secrets.value_in_text"
    message = (
        "The text holds the value of a secret. Leave it out; tools use secrets of the vault by"
        " their names."
    )


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An organization's secrets as read after `stamp`, at `read_at`."""

    index: Index
    stamp: bytes | None
    read_at: float

    def holds(self, stamp: bytes | None) -> bool:
        """Whether nothing was written since, as far as one can know."""
        is_fresh = time.monotonic() - self.read_at < KEPT_SECONDS
        return stamp is not None and self.stamp == stamp and is_fresh


_memory: Final[OrderedDict[UUID, _Remembered]] = OrderedDict()
_remembering: Final = Lock()


def hasher_of(organization_id: UUID) -> Hasher:
    """What makes the marks of an organization's secrets; they are of no use to another one."""
    return Hasher(sealing.derive("redaction"), organization_id.bytes)


def load(organization_id: UUID) -> "Redactor":
    """The organization's secrets as they are now: a question to Redis, and the queries of `SOURCES`
    when one was written since, or after ten seconds."""
    # Before the rows: whatever is written after this line changes the stamp too.
    stamp = _stamps.read(organization_id=organization_id)
    known = _memory.get(organization_id)
    if known is None or not known.holds(stamp):
        hasher = hasher_of(organization_id)
        # Its own scope: in none at all, nothing would be found, and that remembered.
        with tenancy.organization(organization_id):
            marks = [mark for source in SOURCES for mark in source(organization_id, hasher)]
        known = _Remembered(Index(hasher, marks), stamp, time.monotonic())
        with _remembering:
            _memory[organization_id] = known
            _memory.move_to_end(organization_id)
            while len(_memory) > MOST:
                _memory.popitem(last=False)
    return Redactor(organization_id, known.index)


def forget(*, organization_id: UUID) -> None:
    """Have every process read the organization's secrets anew once this transaction commits."""
    _memory.pop(organization_id, None)
    transaction.on_commit(partial(_renew, organization_id))


def _renew(organization_id: UUID) -> None:
    # Whoever read meanwhile has what was there before the commit.
    _memory.pop(organization_id, None)
    _stamps.renew(organization_id=organization_id)


def check(organization_id: UUID, values: Mapping[str, Any]) -> None:
    """Raise SecretInText that names each field of `values` in which a secret of the organization
    stands; fields of fields by their paths, `tasks.0.title`."""
    index = load(organization_id).index
    fields = [
        {"field": _blanked(index, path), "message": SecretInText.message, "type": "secret"}
        for path, text in _texts("", values)
        if index.spans(text)
    ]
    if fields:
        raise SecretInText(fields=fields)


class Redactor:
    """Takes an organization's secrets out of what it is given.

    Asks neither Redis nor the database, so it may be used on the event loop: it goes by what this
    process loaded last (a tool that opens a secret loads), at least by `index`.
    """

    def __init__(self, organization_id: UUID, index: Index) -> None:
        self._organization_id = organization_id
        self._index = index

    @property
    def index(self) -> Index:
        """What is looked for."""
        known = _memory.get(self._organization_id)
        if known is not None:
            self._index = known.index
        return self._index

    def redact(self, value: Any) -> Any:
        """`value` (JSON values) with `[redacted]` for each known secret, and for what has the shape
        of a key of a well-known maker."""
        return _mapped(partial(_blanked, self.index), value)


class Live:
    """A text that comes in pieces, given on as soon as no secret can be in it any more."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def push(self, text: str) -> str:
        """The next piece to show, which may be empty."""
        self._held += text
        index = self._redactor.index
        shown = self._held[: self._safe(index)]
        self._held = self._held[len(shown) :]
        return _blanked(index, shown)

    def flush(self) -> str:
        """What is left, now that the text is whole."""
        held, self._held = self._held, ""
        return _blanked(self._redactor.index, held)

    def _safe(self, index: Index) -> int:
        """How much of what is held no text to come makes part of a secret."""
        held = self._held
        if index.longest_spaced > LIVE_SPACED:
            return 0
        is_between = not held or held[-1].isspace()
        word = len(held) if is_between else len(held) - len(held.rsplit(maxsplit=1)[-1])
        cut = max(word, len(held) - max(index.longest, LONGEST_SHAPE))
        if index.longest_spaced:
            cut = min(cut, len(held) - index.longest_spaced)
        key = held.find(_PEM, max(0, len(held) - LONGEST_PEM))
        if key >= 0 and not _PEM_END.search(held, key):
            cut = min(cut, key)
        for start, end in _spans(index, held):
            if start < cut < end:
                return end
        return max(0, cut)


# Digests of values that this process opened, under a key that dies with it: the log alone goes by
# them, and it knows no organization.
_log_hasher: Final = Hasher(secrets.token_bytes(32), b"log")
_opened: Final[OrderedDict[Mark, None]] = OrderedDict()
_log_index = Index(_log_hasher)


def note_opened(*values: str) -> None:
    """This process has these secrets in its hands from now on: its log shows them no more."""
    global _log_index  # noqa: PLW0603 - swapped whole, so that who logs meanwhile reads one or the other
    marks = [mark for value in values for mark in _log_hasher.marks_of(value)]
    with _remembering:
        if all(mark in _opened for mark in marks):
            return
        _opened.update(dict.fromkeys(marks))
        while len(_opened) > MOST_OPENED:
            _opened.popitem(last=False)
        _log_index = Index(_log_hasher, _opened)


def mask_opened(text: str) -> str:
    """`text` without what this process opened, and without what looks like a key."""
    return _blanked(_log_index, text)


def _blanked(index: Index, text: str) -> str:
    spans = _spans(index, text)
    if not spans:
        return text
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        if end <= done:
            continue
        pieces += [text[done : max(start, done)], REDACTED]
        done = end
    return "".join([*pieces, text[done:]])


def _spans(index: Index, text: str) -> list[tuple[int, int]]:
    """Where known secrets and shapes of keys are, in order of their beginnings."""
    spans = index.spans(text)
    if any(head in text for head in _HEADS):
        spans += [found.span() for found in _SHAPE.finditer(text)]
    if _PEM in text:
        spans += [found.span() for found in _PEM_BLOCK.finditer(text)]
    return sorted(spans)


def _mapped(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_mapped(change, key): _mapped(change, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(change, each) for each in value]
    if _is_number(value):
        text = change(str(value))
        return value if text == str(value) else text
    return value


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in `value`, and the names of its fields, with where it is."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield path, str(key)
            yield from _texts(f"{path}.{key}" if path else str(key), each)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _texts(f"{path}.{number}", each)
    elif _is_number(value):
        yield path, str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= _LEAST_NUMBER
