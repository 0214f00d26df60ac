"""One streamed model call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pydantic_ai import direct
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from agents.runtime.tools import storable

DELTA_SECONDS: Final = 0.05
TURN_SECONDS: Final = 0.02
MAX_ANSWER_CHARACTERS: Final = 1_000_000
SPARE_PARTS: Final = 100


class TooManyToolCalls(Exception):
    """The model asks for far more calls in one answer than the run may make: `number` so far."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


async def stream_answer(
    model: Model[Any],
    messages: list[ModelMessage],
    *,
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    max_tool_calls: int,
    on_text: Callable[[str], Awaitable[None]],
) -> ModelResponse:
    """The whole answer; its text also goes to `on_text` in pieces, about every 50 ms.

    Raises what pydantic-ai raises, UnexpectedModelBehavior for an answer without end, and
    TooManyToolCalls. pydantic-ai's cost grows with the square of the parts; hence both bounds.
    """
    text = _Coalescer(on_text)
    meter = _Meter(max_tool_calls + SPARE_PARTS)
    async with direct.model_request_stream(
        model, messages, model_settings=settings, model_request_parameters=parameters
    ) as stream:
        async for event in stream:
            if written := meter.read(event):
                await text.add(written)
            await meter.breathe()
        await text.flush()
        return stream.get()


def settings_for(
    model: Model[Any], *, temperature: float | None, max_tokens: int | None
) -> ModelSettings:
    """What is set and what `model` takes: reasoning models refuse a temperature."""
    settings = ModelSettings()
    if temperature is not None and _takes_temperature(model):
        settings["temperature"] = temperature
    if max_tokens is not None:
        settings["max_tokens"] = max_tokens
    return settings


def _takes_temperature(model: Model[Any]) -> bool:
    profile: Mapping[str, Any] = {**model.profile}
    if profile.get("anthropic_disallows_sampling_settings"):
        return False
    reasons = profile.get("thinking_enabled_by_default") or not profile.get(
        "openai_supports_reasoning_effort_none"
    )
    return not (profile.get("openai_supports_reasoning") and reasons)


class _Coalescer:
    """Joins tokens: one message for each would cost more than the model call."""

    def __init__(self, on_text: Callable[[str], Awaitable[None]]) -> None:
        self._on_text = on_text
        self._clock = asyncio.get_running_loop().time
        self._pieces: list[str] = []
        self._due = 0.0

    async def add(self, piece: str) -> None:
        self._pieces.append(piece)
        if self._clock() >= self._due:
            await self.flush()

    async def flush(self) -> None:
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._due = self._clock() + DELTA_SECONDS
            await self._on_text(storable("".join(pieces)))


class _Meter:
    """Bounds one answer, and the time for which it holds the event loop."""

    def __init__(self, max_parts: int) -> None:
        self._max_parts = max_parts
        self._characters = self._parts = self._calls = 0
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock() + TURN_SECONDS

    def read(self, event: ModelResponseStreamEvent) -> str:
        """Count `event`; returns the answer's text in it."""
        if isinstance(event, PartStartEvent):
            self._parts += 1
            self._calls += isinstance(event.part, ToolCallPart)
        text, size = _content(event)
        self._characters += size
        if self._calls > self._max_parts:
            raise TooManyToolCalls(self._calls)
        if self._characters > MAX_ANSWER_CHARACTERS or self._parts > 2 * self._max_parts:
            raise UnexpectedModelBehavior("The answer is longer than any model writes.")
        return text

    async def breathe(self) -> None:
        """Let other runs go on: events that are already here arrive without a wait."""
        if self._clock() >= self._due:
            await asyncio.sleep(0)
            self._due = self._clock() + TURN_SECONDS


def _content(event: ModelResponseStreamEvent) -> tuple[str, int]:
    """The answer's text in `event`, and how many characters of any kind came with it."""
    if isinstance(event, PartStartEvent):
        return _start(event.part)
    if not isinstance(event, PartDeltaEvent):
        return "", 0
    match event.delta:
        case TextPartDelta(content_delta=text):
            return text, len(text)
        case ThinkingPartDelta(content_delta=str(thought)):
            return "", len(thought)
        case ToolCallPartDelta(tool_name_delta=name, args_delta=arguments):
            return "", len(name or "") + _length(arguments)
        case _:
            return "", 0


def _start(part: ModelResponsePart) -> tuple[str, int]:
    match part:
        case TextPart(content=text):
            return text, len(text)
        case ThinkingPart(content=thought):
            return "", len(thought)
        case ToolCallPart(tool_name=name, args=arguments):
            return "", len(name) + _length(arguments)
        case _:
            return "", 0


def _length(arguments: str | Mapping[str, Any] | None) -> int:
    return len(arguments if isinstance(arguments, str) else str(arguments or ""))
