"""Which tools the demo provider calls: rules a reader can check, no model."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_CALLS_OF_A_KIND: Final = 3
MAX_QUERY_WORDS: Final = 10
MAX_SCANNED_CHARACTERS: Final = 4_000

_URL: Final = re.compile(r"https?://[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]")
_ARITHMETIC: Final = re.compile(r"[\d(][\d\s.()+\-*/%^\u00d7\u00f7\u2212]*[\d)]")
_DATE: Final = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}")
_WORD: Final = re.compile(r"[^\W\d_][\w-]+")
_ASKING: Final = re.compile(
    r"\?|^\W*(what|who|why|how|when|where|which|explain|describe|summari[sz]e|tell|find|search|list"
    r"|compare|give|name|look)\b",
    re.IGNORECASE,
)
_NOT_TOPICS: Final = frozenset(
    re.findall(
        r"\w+",
        "a about am an and answer any are as at be been but by calculate can cite compute could "
        "describe did do does equals explain fetch find for from get give had has have how i if "
        "in into is it its just list look make may me more much must my name not of on one or our "
        "out passage passages please question result returns say search shall should show so "
        "sources sum summarise summarize tell than that the their them then there these they this "
        "those to up use using "
        "was we were what when where which who why will with would you your",
    )
)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool and the arguments to call it with."""

    tool: str
    arguments: Mapping[str, Any]


def first_calls(
    prompt: str, instructions: str, tools: Mapping[str, Mapping[str, Any]]
) -> list[PlannedCall]:
    """What the prompt and the instructions call for; `tools` maps names to parameter schemas."""
    calls: list[PlannedCall] = []
    if "http_get" in tools:
        calls += [PlannedCall("http_get", {"url": url}) for url in _first(_URL.findall(prompt))]
    if "calculator" in tools:
        found = _first(expressions(prompt))
        calls += [PlannedCall("calculator", {"expression": expression}) for expression in found]
    topics = topics_of(prompt)
    asks = _ASKING.search(prompt) or "knowledge" in instructions.lower()
    if "knowledge_search" in tools and topics and asks:
        calls.append(PlannedCall("knowledge_search", {"query": " ".join(topics)}))
    return calls + _named(prompt, tools)


def wider_search(prompt: str) -> PlannedCall | None:
    """A second search for any of the words, when the first one for all of them found nothing."""
    topics = topics_of(prompt)
    if len(topics) < 2:
        return None
    return PlannedCall("knowledge_search", {"query": " OR ".join(topics)})


def expressions(prompt: str) -> list[str]:
    """The arithmetic written in `prompt`, in the calculator's notation; no dates, no ranges."""
    text = _DATE.sub(" ", _URL.sub(" ", prompt[:MAX_SCANNED_CHARACTERS]))
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = []
    for match in _ARITHMETIC.finditer(text):
        written = match.group().replace("\u2212", "-")
        written = (
            written.replace("\u00d7", "*").replace("\u00f7", "/").replace("^", "**").strip(" .")
        )
        if _is_meant_as_arithmetic(written):
            found.append(written)
    return list(dict.fromkeys(found))


def topics_of(prompt: str) -> list[str]:
    """The words of `prompt` that say what it is about, in order, without repetition."""
    words = _WORD.findall(_URL.sub(" ", prompt))
    topics = [word for word in words if word.lower() not in _NOT_TOPICS]
    return list({word.lower(): word for word in topics}.values())[:MAX_QUERY_WORDS]


def _is_meant_as_arithmetic(written: str) -> bool:
    operators = re.findall(r"(?<=[\d)])\s*(\*\*|[-+*/%])\s*(?=[\d(])", written)
    if not operators:
        return False
    # "24/7" and "3-5 days" are not sums; "24 / 7" and "3 - 5" are.
    return bool(set(operators) - {"-", "/"}) or " " in written


def _named(prompt: str, tools: Mapping[str, Mapping[str, Any]]) -> list[PlannedCall]:
    said = prompt.lower().replace("_", " ")
    calls = []
    for name, schema in tools.items():
        if name in {"http_get", "calculator", "knowledge_search"}:
            continue
        words = re.escape(name.lower().replace("_", " "))
        named = re.search(rf"\b{words}\b", said)
        forbidden = re.search(rf"(\b(not|never|without)|n't)\b(\W+\w+){{0,3}}?\W+{words}\b", said)
        arguments = _arguments(schema, prompt)
        if named and not forbidden and arguments is not None:
            calls.append(PlannedCall(name, arguments))
    return calls


def _arguments(schema: Mapping[str, Any], prompt: str) -> dict[str, Any] | None:
    """The prompt as the only required text, nothing for nothing, None for what needs thought."""
    required: Collection[str] = schema.get("required", ())
    if not required:
        return {}
    name, *others = required
    if others or schema.get("properties", {}).get(name, {}).get("type") != "string":
        return None
    return {name: prompt}


def _first(found: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(found))[:MAX_CALLS_OF_A_KIND]
