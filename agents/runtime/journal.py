"""What a run tells its caller while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agents.runtime.spec import Message, RunFailure, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A model call about to be sent, with upper bounds of what it can use.

    `ordinal` counts turns from 1 over all resumptions; a turn that another model has to answer is
    asked for under the same number.
    """

    ordinal: int
    provider: str
    model: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call the model asked for. `id` is the provider's and unique within the run.

    `arguments` is what the model sent, `{}` when that was not a JSON object.
    """

    id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The end of a tool call: `result` (JSON-able, capped in size) or `error` (a sentence), never
    both. `whole` is all of what was cut, as text. `message` is what `RunSpec.log` takes."""

    id: str
    tool: str
    result: Any
    error: str | None
    duration_ms: int
    message: Message
    whole: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a call may be made: yes; no, for the reason in `refusal`, which the model reads; or
    not until what `pending` says has been decided."""

    refusal: str = ""
    pending: RunFailure | None = None


GRANTED: Final = Verdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedModel:
    """A model that could not answer a turn; `kind` and `message` are those of its RunFailure."""

    provider: str
    model: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTurn:
    """One whole model answer. `ordinal` counts from 1 over all resumptions of the run.

    `model` is the name the provider answered with, `asked_model` the one that it was asked for and
    by which it is priced; `provider` is ours.
    `finish_reason` is "stop", "tool_call" or "length" (cut at `max_tokens`). `message` is what
    `RunSpec.log` takes. `skipped` were to answer before, in this order.
    """

    ordinal: int
    provider: str
    model: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    finish_reason: str
    duration_ms: int
    message: Message
    skipped: tuple[SkippedModel, ...] = ()
    asked_model: str = ""


class Journal(Protocol):
    """Callbacks of one run, awaited one at a time and in the order of events by a single task.

    `RunStopped` from any of them ends the run with its failure. Another exception stops the run and
    reaches the caller of `engine.run` as it is; connections and running tools are closed first.
    Every `ModelTurn` and `ToolResult` is given exactly once; the run goes on only after the
    callback returned, so what it stored is safe to resume from. The run's timeout never interrupts
    a callback, but for `text_delta`.
    """

    async def model_request_started(self, call: ModelCall) -> None:
        """A model call is about to be sent: the place to refuse it, or to reserve its cost."""

    async def model_failed(self, failure: RunFailure) -> None:
        """The model call that was sent brought no answer. Not told of a run that is cancelled."""

    async def text_delta(self, text: str) -> None:
        """The next piece of the answer being written, several tokens at a time; never stored."""

    async def model_answered(self, turn: ModelTurn) -> None:
        """The model's answer is complete; its tool calls are made next."""

    async def tool_started(self, call: ToolCall) -> None:
        """A tool that needs nobody's approval is about to be called."""

    async def tool_asked(self, call: ToolCall) -> Verdict:
        """A tool that needs approval would be called; what is granted is on record as started."""

    async def tool_refused(self, call: ToolCall, result: ToolResult) -> None:
        """A call that never began was refused; `result` is what the model reads."""

    async def tool_finished(self, result: ToolResult) -> None:
        """A tool that was started returned or failed."""
