"""How the demo provider writes: it quotes what its tools returned and says where from."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agents.runtime import demo_plan

WHO: Final = (
    "I am Agent Hub's demo provider: I work offline, by fixed rules, and am not a language model."
    " I quote what my tools return."
)
HOW_TO_CHANGE: Final = (
    "For answers by a language model, set a key such as HUB_OPENAI_API_KEY and choose that provider"
    " for the agent."
)
NOTHING_KNOWN: Final = "The knowledge base has no passage on this question."
NO_TOOL: Final = "Nothing in this task called for a tool that this agent may use."
MAX_QUOTES: Final = 4
MAX_QUOTES_OF_A_SOURCE: Final = 2
MAX_SOURCES: Final = 5
QUOTE_CHARACTERS: Final = 400

_TITLE_KEYS: Final = ("title", "name", "source", "path", "id")
_TEXT_KEYS: Final = ("passage", "text", "content", "snippet", "excerpt", "highlight", "body")
_LIST_KEYS: Final = ("results", "passages", "items", "entries", "matches")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tool call gave: its JSON result, or a sentence when it failed."""

    tool: str
    arguments: Mapping[str, Any]
    content: Any
    failed: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the knowledge base."""

    title: str
    text: str


def compose(prompt: str, outcomes: Sequence[Outcome]) -> str:
    """The whole answer, in Markdown."""
    parts = [WHO]
    parts += [_describe(outcome) for outcome in outcomes if outcome.tool != "knowledge_search"]
    searches = [outcome for outcome in outcomes if outcome.tool == "knowledge_search"]
    parts += [_describe(outcome) for outcome in searches if outcome.failed]
    found = [p for o in searches if not o.failed for p in passages(o.content)]
    if found:
        parts += _quotes(prompt, found)
    elif any(not outcome.failed for outcome in searches):
        parts.append(NOTHING_KNOWN)
    if not outcomes:
        parts += [NO_TOOL, HOW_TO_CHANGE]
    return "\n\n".join(parts)


def passages(content: Any) -> list[Passage]:
    """The passages in a search result: a list of objects, or an object that holds one."""
    if isinstance(content, Mapping):
        lists = (content[key] for key in _LIST_KEYS if isinstance(content.get(key), list))
        content = next(lists, [])
    if not isinstance(content, list):
        return []
    found = (_passage(entry) for entry in content if isinstance(entry, Mapping))
    return [passage for passage in found if passage.text]


def _passage(entry: Mapping[str, Any]) -> Passage:
    text = _plain(_first_text(entry, _TEXT_KEYS))
    return Passage(title=_plain(_first_text(entry, _TITLE_KEYS)) or "Untitled", text=text)


def _quotes(prompt: str, found: Sequence[Passage]) -> list[str]:
    """The sentences with most words of the question, in the order of their sources."""
    sources = list(dict.fromkeys(found))[:MAX_SOURCES]
    wanted = {topic.lower() for topic in demo_plan.topics_of(prompt)}
    quotes: list[tuple[int, int, int, str]] = []
    for number, source in enumerate(sources, start=1):
        ranked = sorted(
            (-_matches(sentence, wanted), number, place, sentence)
            for place, sentence in enumerate(_sentences(source.text))
        )
        quotes += ranked[:MAX_QUOTES_OF_A_SOURCE]
    best = sorted(sorted(quotes)[:MAX_QUOTES], key=lambda quote: quote[1:])
    lines = [
        f'- “{sentence}” [{number}] "{sources[number - 1].title}"'
        for _, number, _, sentence in best
    ]
    cited = dict.fromkeys(number for _, number, _, _ in best)
    listed = [f'[{number}] "{sources[number - 1].title}"' for number in cited]
    return ["From the knowledge base:\n\n" + "\n".join(lines), "Sources:\n" + "\n".join(listed)]


def _describe(outcome: Outcome) -> str:
    if outcome.failed:
        return f"The tool {outcome.tool} did not help: {outcome.content}"
    content = outcome.content
    if isinstance(content, Mapping) and outcome.tool == "calculator" and "result" in content:
        return f"{outcome.arguments.get('expression')} = {content['result']}"
    if isinstance(content, Mapping) and outcome.tool == "http_get" and "status" in content:
        text = _cut(_plain(str(content.get("text", ""))))
        return f"{outcome.arguments.get('url')} answered {content['status']}: “{text}”"
    shown = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return f"The tool {outcome.tool} returned: {_cut(shown)}"


def _sentences(text: str) -> list[str]:
    prose = "\n".join("" if line.startswith("#") else line for line in text.splitlines())
    pieces = re.split(r"(?<=[.!?])\s+(?=[A-Z0-9“\"'`*])|\s*\n\s*\n\s*|\n(?=\s*[-*|])", prose)
    plain = (piece.strip(" ->*\n") for piece in pieces)
    # Rows of tables and sentences that announce a list say little on their own.
    told = (piece for piece in plain if not piece.startswith("|") and not piece.endswith(":"))
    return [_cut(piece) for piece in told if len(piece.split()) > 2] or [_cut(text)]


def _matches(sentence: str, wanted: Iterable[str]) -> int:
    said = sentence.lower()
    return sum(word.rstrip("s") in said for word in wanted)


def _first_text(entry: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((str(entry[key]) for key in keys if entry.get(key)), "")


def _plain(text: str) -> str:
    return re.sub(r"[ \t]+", " ", re.sub(r"</?[a-zA-Z][^>]*>", "", text)).strip()


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= QUOTE_CHARACTERS else text[: QUOTE_CHARACTERS - 1].rstrip() + "…"
