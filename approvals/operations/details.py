"""What people are shown of a request: without its secrets, and no more than can be read."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kernel.redaction import REDACTED

MOST_BYTES: Final = 32 * 1024
DEEPEST: Final = 30
# How long texts and lists may be, tried in this order until all fits.
CUTS: Final = ((MOST_BYTES, MOST_BYTES), (4_000, 200), (1_000, 50), (200, 20), (50, 10))
SECRET: Final = re.compile(
    r"pass(word|wd|phrase|code)|secret|authori[sz]ation|credential|cookie"
    r"|(api|access|private|signing|encryption|ssh)[-_ ]?key|bearer|jwt|(?<!max_)token(?!s|_count)",
    re.IGNORECASE,
)
# What PostgreSQL takes into no text: NUL, and half of a pair.
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def show(details: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """`details` as JSON of at most 32 KiB, and whether anything was cut off.

    A value whose name sounds like a secret is masked. What is cut says how much is missing.
    """
    masked = _mask(details, 0)
    for texts, items in CUTS:
        shown = _cut(masked, texts, items)
        if len(_write(shown)) <= MOST_BYTES:
            return shown, shown != masked
    return {"cut": _text(_write(masked).decode(), 5_000)}, True


def _mask(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        return "… (deeper than is shown)"
    if isinstance(value, Mapping):
        return {
            _clean(str(name)): REDACTED
            if SECRET.search(str(name)) and part not in (None, "", True, False)
            else _mask(part, depth + 1)
            for name, part in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_mask(part, depth + 1) for part in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):  # JSON knows neither infinity nor what is no number
        return value if value - value == 0 else str(value)
    return _clean(str(value))


def _clean(text: str) -> str:
    return UNSTORABLE.sub("\ufffd", text)


def _cut(value: Any, texts: int, items: int) -> Any:
    if isinstance(value, dict):
        kept = {
            _text(name, texts): _cut(part, texts, items)
            for name, part in list(value.items())[:items]
        }
        if len(value) > items:
            kept["…"] = f"{len(value) - items} more"
        return kept
    if isinstance(value, list):
        more = [f"… {len(value) - items} more"] if len(value) > items else []
        return [*(_cut(part, texts, items) for part in value[:items]), *more]
    return _text(value, texts) if isinstance(value, str) else value


def _text(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"


def _write(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
