"""How the console writes times, durations, money, ids and structures, all of it escaped."""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING: Final = "-"
ROUNDS_TO_NOTHING: Final = Decimal("0.00005")
ESCAPE: Final = re.compile(r"\\(.)")
# What names itself in the words of another comes first.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
ID_TAIL: Final = 8  # the head of a UUIDv7 is its time: neighbours differ in the tail


def money(cost_usd: Decimal) -> str:
    """`$0.0000`; an amount that would round to that is `<$0.0001`."""
    if 0 < cost_usd < ROUNDS_TO_NOTHING:
        return "<$0.0001"
    return f"${cost_usd:,.4f}"


def duration(seconds: float | None) -> str:
    """`49 ms`, `3.2 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return _pair(int(seconds))


def since(moment: datetime | None, *, now: datetime) -> SafeString | str:
    """`3 min ago` or `in 2 h`; the exact time in UTC shows on hovering."""
    if moment is None:
        return NOTHING
    seconds = int((now - moment).total_seconds())
    words = f"{_largest(seconds)} ago" if seconds > 0 else f"in {_largest(-seconds)}"
    return _time(moment, "just now" if abs(seconds) < 5 else words)


def exact(moment: datetime | None) -> SafeString | str:
    """`2026-03-01 12:00:00` in UTC."""
    return NOTHING if moment is None else _time(moment, f"{moment:%Y-%m-%d %H:%M:%S}")


def status(value: str, label: str = "") -> SafeString:
    """A word whose colour the stylesheet knows by `value`."""
    words = label or value.replace("_", " ")
    return format_html('<span class="hub-status" data-status="{}">{}</span>', value, words)


def identifier(value: object) -> SafeString:
    """The end of an id, with a button that copies all of it."""
    return _copyable(str(value), f"…{str(value)[-ID_TAIL:]}")


def whole_identifier(value: object) -> SafeString:
    """An id with a button that copies it."""
    return _copyable(str(value), str(value))


def api_address(path: str) -> SafeString:
    """The address of the same object in the REST API, to copy: a browser has no token for it."""
    return _copyable(path, path)


def page_link(page: str, object_id: object, text: str = "") -> SafeString | str:
    """A link to the console page of an object; `page` is `<app>_<model>`.

    Higher floors name their pages here as plain text: a hub without them shows the text alone.
    """
    if not object_id:
        return NOTHING
    words = text or f"…{str(object_id)[-ID_TAIL:]}"
    try:
        address = reverse(f"admin:{page}_change", args=[object_id])
    except NoReverseMatch:
        return words
    return format_html('<a class="text-link" href="{}">{}</a>', address, words)


def device(user_agent: str) -> str:
    """`Firefox on Linux`, or the first word of what is no browser: `curl/8.5.0`."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    return user_agent.split(" ", 1)[0]


def text_block(text: str) -> SafeString | str:
    """Text with its line breaks."""
    return format_html('<div class="hub-text">{}</div>', text) if text else NOTHING


def text_box(text: str) -> SafeString | str:
    """Long text with its line breaks, in a box that scrolls."""
    return format_html('<pre class="hub-code">{}</pre>', text) if text else NOTHING


def structure(value: Any) -> str:
    """A JSON value, indented, for reading: line breaks in its texts are line breaks."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[0], text)


def structure_block(value: Any) -> SafeString | str:
    """A JSON value, indented, in a box."""
    if value in (None, {}, []):
        return NOTHING
    return format_html('<pre class="hub-code">{}</pre>', structure(value))


def words(values: list[str]) -> str:
    """`a, b, c`."""
    return ", ".join(values) or NOTHING


def _time(moment: datetime, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S}",
        text,
    )


def _copyable(value: str, shown: str) -> SafeString:
    return format_html(
        '<span class="hub-id" title="{}"><code>{}</code>{}</span>',
        value,
        shown,
        _copy_button(value),
    )


def _copy_button(value: str) -> SafeString:
    return format_html(
        '<button type="button" class="hub-copy material-symbols-outlined" data-copy="{}"'
        ' aria-label="Copy" title="Copy">content_copy</button>',
        value,
    )


def _largest(seconds: int) -> str:
    return _parts(seconds)[0]


def _pair(seconds: int) -> str:
    return " ".join(_parts(seconds)[:2])


def _parts(seconds: int) -> list[str]:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    found = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(found) > 1 and not found[0][0]:
        found.pop(0)
    return [f"{found[0][0]} {found[0][1]}", *[f"{n} {unit}" for n, unit in found[1:] if n]]
