"""One streamed model call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pydantic_ai import direct
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPartDelta,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from agents.runtime.tools import storable

DELTA_SECONDS: Final = 0.05
MAX_ANSWER_CHARACTERS: Final = 1_000_000


async def stream_answer(
    model: Model[Any],
    messages: list[ModelMessage],
    *,
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    on_text: Callable[[str], Awaitable[None]],
) -> ModelResponse:
    """The whole answer; its text also goes to `on_text` in pieces, about every 50 ms.

    Raises what pydantic-ai raises, and UnexpectedModelBehavior for an answer without end.
    """
    text = _Coalescer(on_text)
    received = 0
    async with direct.model_request_stream(
        model, messages, model_settings=settings, model_request_parameters=parameters
    ) as stream:
        async for event in stream:
            written, size = _content(event)
            received += size
            if received > MAX_ANSWER_CHARACTERS:
                raise UnexpectedModelBehavior("The answer is longer than any model writes.")
            if written:
                await text.add(written)
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


def _content(event: ModelResponseStreamEvent) -> tuple[str, int]:
    """The answer's text in `event`, and how many characters of any kind came with it."""
    if isinstance(event, PartStartEvent):
        text = event.part.content if isinstance(event.part, TextPart) else ""
        return text, len(text)
    if not isinstance(event, PartDeltaEvent):
        return "", 0
    match event.delta:
        case TextPartDelta(content_delta=text):
            return text, len(text)
        case ThinkingPartDelta(content_delta=str(thought)):
            return "", len(thought)
        case ToolCallPartDelta(args_delta=str(arguments)):
            return "", len(arguments)
        case _:
            return "", 0
