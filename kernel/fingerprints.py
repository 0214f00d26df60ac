"""Recognising secrets in texts without keeping them: keyed fingerprints, and the search for them.

A secret is found by its anchor, its longest run of letters and digits: each run of a text that is
as long is digested and looked up, and what stands around it is compared as a whole. So it does not
matter what separates the secret from the rest (quotes, `key=`, `user:…@host`, the escapes of JSON
and of addresses), and a text without a run of such a length costs one pass of a pattern.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote

DIGEST_BYTES: Final = 16
# Shorter values, and single words or numbers, are in texts that have nothing to do with them.
LEAST_LENGTH: Final = 8
LEAST_ANCHOR: Final = 2
LEAST_LETTERS: Final = 16
LEAST_DIGITS: Final = 12
_ASCII: Final = "[A-Za-z0-9]"
_ANY: Final = r"[^\W_]"
_SPACE: Final = re.compile(r"\s")
_HEX: Final = re.compile("%[0-9A-F]{2}")
# Letters that belong to an escape before a run: of `\n`, of `\u0020`, of `%20`.
_ESCAPED: Final = {"\\": (1, 5), "%": (2,)}


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one form of a secret: the digests of its anchor and of all of it, where the
    anchor begins, both lengths in characters, and whether white space is in it."""

    anchor: bytes
    anchor_length: int
    offset: int
    length: int
    whole: bytes
    is_spaced: bool = False
    is_wide: bool = False

    def dump(self) -> list[Any]:
        """As JSON has it."""
        sizes = (self.anchor_length, self.offset, self.length)
        return [self.anchor.hex(), *sizes, self.whole.hex(), self.is_spaced, self.is_wide]

    @classmethod
    def load(cls, dumped: Iterable[Any]) -> "Mark":
        """What `dump` gave."""
        anchor, anchor_length, offset, length, whole, is_spaced, is_wide = dumped
        return cls(
            bytes.fromhex(anchor),
            anchor_length,
            offset,
            length,
            bytes.fromhex(whole),
            is_spaced,
            is_wide,
        )


@dataclass(frozen=True, slots=True)
class Hasher:
    """Digests under a secret `key` for one `scope` (at most 16 bytes): in another scope the same
    text has another digest, so that nobody sees who shares a secret with whom."""

    key: bytes
    scope: bytes

    def digest(self, text: str) -> bytes:
        """BLAKE2b, keyed and personalised (RFC 7693)."""
        raw = text.encode(errors="surrogatepass")
        made = blake2b(raw, digest_size=DIGEST_BYTES, key=self.key, person=self.scope)
        return made.digest()

    def marks_of(self, value: str) -> list[Mark]:
        """The marks of a secret in every form in which texts have it; none if it tells nothing.

        Forms are the value, as JSON (once and twice), addresses and HTML escape it, and its base64.
        """
        value = value.strip()
        if not _is_telling(value) or self._mark(value) is None:
            return []
        return [mark for form in _forms(value) if (mark := self._mark(form))]

    def _mark(self, form: str) -> Mark | None:
        run = _longest(_ASCII, form)
        is_wide = run is None
        run = run or _longest(_ANY, form)
        if run is None:
            return None
        return Mark(
            anchor=self.digest(run[0]),
            anchor_length=len(run[0]),
            offset=run.start(),
            length=len(form),
            whole=self.digest(form),
            is_spaced=bool(_SPACE.search(form)),
            is_wide=is_wide,
        )


class Index:
    """The marks of many secrets, made by `hasher`, to be looked for at once."""

    def __init__(self, hasher: Hasher, marks: Iterable[Mark] = ()) -> None:
        self._hasher = hasher
        self._anchors: dict[int, dict[bytes, list[Mark]]] = {}
        known = list(marks)
        for mark in known:
            digests = self._anchors.setdefault(mark.anchor_length, {})
            digests.setdefault(mark.anchor, []).append(mark)
        self._patterns = [
            re.compile(f"{letters}{{{min(lengths)},}}")
            for letters, is_wide in ((_ASCII, False), (_ANY, True))
            if (lengths := [m.anchor_length for m in known if m.is_wide == is_wide])
        ]
        # In characters: of all, and of those that go over several words.
        self.longest = max((mark.length for mark in known), default=0)
        self.longest_spaced = max((mark.length for mark in known if mark.is_spaced), default=0)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets are in `text`, in order; none overlaps another."""
        found = sorted(span for pattern in self._patterns for span in self._find(pattern, text))
        joined: list[tuple[int, int]] = []
        for start, end in found:
            if joined and start < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined

    def _find(self, pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
        known: dict[str, list[Mark]] = {}
        for at, end in self._runs(pattern, text):
            word = text[at:end]
            marks = known.get(word)
            if marks is None:
                digests = self._anchors[end - at]
                marks = known[word] = digests.get(self._hasher.digest(word), [])
            for mark in marks:
                begin = at - mark.offset
                whole = text[max(0, begin) : begin + mark.length]
                if self._hasher.digest(whole) == mark.whole:
                    yield begin, begin + mark.length

    def _runs(self, pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
        """Where something as long as an anchor is, with and without what may be an escape."""
        lengths = self._anchors
        is_escaped = any(sign in text for sign in _ESCAPED)
        for run in pattern.finditer(text):
            start, end = run.span()
            if end - start in lengths:
                yield start, end
            if is_escaped and start:
                for skipped in _ESCAPED.get(text[start - 1], ()):
                    if end - start - skipped in lengths:
                        yield start + skipped, end


def _is_telling(value: str) -> bool:
    """Whether finding `value` somewhere says that it came from the secret."""
    if len(value) < LEAST_LENGTH:
        return False
    if value.isdecimal():
        return len(value) >= LEAST_DIGITS
    return len(value) >= LEAST_LETTERS or not value.isalpha()


def _longest(letters: str, form: str) -> re.Match[str] | None:
    runs = re.finditer(f"{letters}{{{LEAST_ANCHOR},}}", form)
    return max(runs, key=lambda run: run.end() - run.start(), default=None)


def _forms(value: str) -> list[str]:
    raw = value.encode(errors="replace")
    encoded = base64.b64encode(raw).decode().rstrip("=")
    escaped = [_in_json(value, is_ascii=is_ascii) for is_ascii in (True, False)]
    addresses = [quote(raw, safe=""), quote(raw)]
    forms = (
        value,
        *escaped,
        *(_in_json(form, is_ascii=form.isascii()) for form in escaped),  # a text inside of JSON
        *addresses,
        *(_HEX.sub(lambda found: found[0].lower(), form) for form in addresses),
        html.escape(value),
        encoded,
        encoded.translate(str.maketrans("+/", "-_")),
    )
    return list(dict.fromkeys(forms))


def _in_json(text: str, *, is_ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]
