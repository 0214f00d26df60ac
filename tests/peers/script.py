"""What a peer that plays a model provider does with a request."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer: text, or tool calls as (name, arguments), streamed word by word.

    With `go_on`, the first word is followed by blanks until that is set.
    """

    text: str = ""
    tool_calls: tuple[tuple[str, Any], ...] = ()
    input_tokens: int = 10
    output_tokens: int = 5
    finish: str = ""
    call_ids: tuple[str, ...] = ()
    pause_seconds: float = 0
    go_on: threading.Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An HTTP error in the provider's own shape; its message repeats the caller's key."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Whatever a broken proxy may send with status 200."""

    body: bytes
    content_type: str = "text/event-stream"
    content_encoding: str = "identity"


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the request and say nothing until the client goes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Begin an answer, then drop the connection; `clean` ends the HTTP body as if all were well."""

    text: str = "It begins well and"
    clean: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endless:
    """Words without end."""

    pause_seconds: float = 0.001


Step: TypeAlias = Answer | Refusal | Raw | Hang | Broken | Endless
Respond: TypeAlias = Callable[[Mapping[str, Any]], Step]

HTML = Raw(body=b"<html><body>Bad gateway</body></html>", content_type="text/html")
NOT_JSON = Raw(body=b"data: {this is not json\n\ndata: [DONE]\n\n")
STEPS: Mapping[str, Step] = {
    "401": Refusal(status=401),
    "429": Refusal(status=429, headers={"retry-after": "7"}),
    "500": Refusal(status=500),
    "hang": Hang(),
    "html": HTML,
    "garbage": NOT_JSON,
    "drop": Broken(),
    "endless": Endless(),
}


def step_from(value: str | Mapping[str, Any]) -> Step:
    """A step by its name in STEPS, or an Answer from `{text}` or `{tool_calls: [[name, {}]]}`."""
    if isinstance(value, str):
        return STEPS[value]
    calls = tuple((name, arguments) for name, arguments in value.get("tool_calls", ()))
    return Answer(**{**value, "tool_calls": calls})
