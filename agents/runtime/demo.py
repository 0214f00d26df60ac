"""The demo provider: no network, no language model, the same answer to the same question.

It exists so that a hub without keys can show its whole machinery. It reads instructions and prompt,
calls the tools they ask for, quotes what came back, and says in every answer what it is.
"""

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from agents.runtime import demo_answer, demo_plan
from agents.runtime.demo_answer import Outcome
from agents.runtime.demo_plan import PlannedCall

MODEL_NAME: Final = "demo"
CHUNK_WORDS: Final = 4
CHUNK_SECONDS: Final = 0.002
CHARACTERS_A_TOKEN: Final = 4


class DemoModel(Model[None]):
    """A pydantic-ai model that plans by rules and answers by quoting."""

    @property
    def model_name(self) -> str:
        return MODEL_NAME

    @property
    def system(self) -> str:
        return "demo"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        return _respond(messages, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        answer = _respond(messages, model_request_parameters)
        yield DemoStream(model_request_parameters=model_request_parameters, answer=answer)


@dataclass
class DemoStream(StreamedResponse):
    """A ready answer, handed out a few words at a time."""

    answer: ModelResponse

    def __post_init__(self) -> None:
        self.finish_reason = self.answer.finish_reason
        self._usage = self.answer.usage

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        for index, part in enumerate(self.answer.parts):
            if isinstance(part, TextPart):
                for chunk in _chunks(part.content):
                    for event in self._parts_manager.handle_text_delta(
                        vendor_part_id=index, content=chunk
                    ):
                        yield event
                    await asyncio.sleep(CHUNK_SECONDS)
            elif isinstance(part, ToolCallPart):
                yield self._parts_manager.handle_tool_call_part(
                    vendor_part_id=index,
                    tool_name=part.tool_name,
                    args=part.args_as_dict(),
                    tool_call_id=part.tool_call_id,
                )

    async def close_stream(self) -> None:
        """Nothing is open."""

    @property
    def model_name(self) -> str:
        return MODEL_NAME

    @property
    def provider_name(self) -> str:
        return "demo"

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self.answer.timestamp


def _respond(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> ModelResponse:
    prompt, instructions, outcomes = _read(messages)
    tools = {tool.name: tool.parameters_json_schema for tool in parameters.function_tools}
    planned = _plan(prompt, instructions, tools, outcomes)
    text = "" if planned else demo_answer.compose(prompt, outcomes)
    calls = [
        ToolCallPart(call.tool, dict(call.arguments), f"demo-{len(outcomes)}-{number}")
        for number, call in enumerate(planned)
    ]
    parts: list[TextPart | ToolCallPart] = [*calls] or [TextPart(text)]
    return ModelResponse(
        parts=parts,
        model_name=MODEL_NAME,
        provider_name="demo",
        finish_reason="tool_call" if planned else "stop",
        usage=RequestUsage(
            input_tokens=_tokens(prompt, instructions, json.dumps(tools), *map(str, outcomes)),
            output_tokens=_tokens(text, *map(str, planned)),
        ),
    )


def _plan(
    prompt: str,
    instructions: str,
    tools: Mapping[str, Mapping[str, Any]],
    outcomes: Sequence[Outcome],
) -> list[PlannedCall]:
    if not outcomes:
        return demo_plan.first_calls(prompt, instructions, tools)
    searches = [outcome for outcome in outcomes if outcome.tool == "knowledge_search"]
    if (
        len(searches) == 1
        and not searches[0].failed
        and not demo_answer.passages(searches[0].content)
    ):
        wider = demo_plan.wider_search(prompt)
        return [wider] if wider else []
    return []


def _read(messages: Sequence[ModelMessage]) -> tuple[str, str, list[Outcome]]:
    """The last prompt, the instructions, and what the tools called since then returned."""
    prompt, instructions = "", ""
    calls: dict[str, ToolCallPart] = {}
    outcomes: list[Outcome] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            instructions = message.instructions or instructions
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                prompt, outcomes = _text(part), []
            elif isinstance(part, ToolCallPart):
                calls[part.tool_call_id] = part
            elif isinstance(part, ToolReturnPart):
                outcomes.append(_outcome(calls[part.tool_call_id], part))
    return prompt, instructions, outcomes


def _outcome(call: ToolCallPart, returned: ToolReturnPart) -> Outcome:
    failed = returned.outcome != "success"
    return Outcome(call.tool_name, call.args_as_dict(), returned.content, failed)


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return " ".join(piece for piece in part.content if isinstance(piece, str))


def _tokens(*texts: str) -> int:
    """An estimate, the same each time: four characters are about one token of English."""
    return math.ceil(sum(map(len, texts)) / CHARACTERS_A_TOKEN)


def _chunks(text: str) -> Iterator[str]:
    words = re.findall(r"\S+\s*|\s+", text)
    for start in range(0, len(words), CHUNK_WORDS):
        yield "".join(words[start : start + CHUNK_WORDS])
