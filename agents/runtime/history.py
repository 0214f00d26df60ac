"""Between the messages of a run as pydantic-ai has them and as the journal stores them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from agents.runtime.journal import ModelCall, ToolCall
from agents.runtime.spec import Message, Redact, RunSpec, Usage, as_it_is
from agents.runtime.tools import storable

# What the columns of the journal hold.
MAX_NAME: Final = 128
MAX_CALL_ID: Final = 255
MAX_TOKENS: Final = 2**31 - 1
_ROOM_FOR_SUFFIX: Final = 30
# What a provider may add around each piece that is sent.
_FRAME_BYTES: Final = 32
NO_OBJECT: Final = "The arguments are not a JSON object. Send one that fits the tool's schema."


@dataclass(kw_only=True)
class Conversation:
    """The messages of a run and its sums; `calls` and `results` belong to the last answer."""

    instructions: str | None
    messages: list[ModelMessage]
    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    calls_made: int = 0
    calls: list[ToolCallPart] = field(default_factory=list)
    results: dict[str, ToolReturnPart] = field(default_factory=dict)
    corrections: int = 0
    redact: Redact = as_it_is
    _sizes: list[int] = field(default_factory=list)
    _call_ids: set[str] = field(default_factory=set)

    def add_answer(self, answer: ModelResponse, call: ModelCall | None = None) -> ModelResponse:
        """Append the model's answer; returned as the journal can store it, with tool call ids
        unique within the run."""
        self._close_turn()
        answer = replace(
            answer,
            parts=self._redacted([self._storable_part(part) for part in answer.parts]),
            usage=_storable_usage(answer.usage, call),
            model_name=_fitting(self.redact(answer.model_name or ""), MAX_NAME) or None,
        )
        self.messages.append(answer)
        self.calls = tool_calls(answer)
        self.turns += 1
        self.calls_made += len(self.calls)
        self.usage += usage_of(answer)
        return answer

    def add_result(self, result: ToolReturnPart) -> None:
        """Note the result of one call of the last answer."""
        self.results[result.tool_call_id] = result

    def open_calls(self) -> list[ToolCallPart]:
        """The calls of the last answer that have no result yet."""
        return [call for call in self.calls if call.tool_call_id not in self.results]

    def correct(self, wrong: str) -> None:
        """Tell the model what is wrong with its last answer."""
        self.corrections += 1
        part = UserPromptPart(wrong)
        self.messages.append(ModelRequest(parts=[part], instructions=self.instructions))

    def size(self) -> int:
        """Bytes of what is sent, at most: no tokenizer makes more tokens of it."""
        for message in self.for_model()[len(self._sizes) :]:
            self._sizes.append(_FRAME_BYTES + sum(_size_of(part) for part in message.parts))
        return sum(self._sizes) + len((self.instructions or "").encode())

    def for_model(self) -> list[ModelMessage]:
        """All messages, the results in the order in which the model asked for them."""
        self._close_turn()
        return self.messages

    def _close_turn(self) -> None:
        if self.calls:
            parts = [self.results[call.tool_call_id] for call in self.calls]
            self.messages.append(ModelRequest(parts=parts, instructions=self.instructions))
        self.calls, self.results = [], {}

    def _storable_part(self, part: ModelResponsePart) -> ModelResponsePart:
        # A lone surrogate kept here would break the next request, which is sent as UTF-8.
        if isinstance(part, TextPart | ThinkingPart):
            return replace(part, content=storable(part.content))
        return self._with_unique_id(part) if isinstance(part, ToolCallPart) else part

    def _redacted(self, parts: list[ModelResponsePart]) -> list[ModelResponsePart]:
        """`parts` without secrets; one that begins in a text and ends in the next is one too."""
        parts = [self._redacted_part(part) for part in parts]
        text = "".join(part.content for part in parts if isinstance(part, TextPart))
        whole = self.redact(text)
        if whole == text:
            return parts
        at = next(number for number, part in enumerate(parts) if isinstance(part, TextPart))
        others = [part for part in parts[at:] if not isinstance(part, TextPart)]
        return [*parts[:at], TextPart(whole), *others]

    def _redacted_part(self, part: ModelResponsePart) -> ModelResponsePart:
        if isinstance(part, ToolCallPart):
            return replace(part, args=self._redacted_arguments(part))
        if not isinstance(part, TextPart | ThinkingPart):
            return part
        text = self.redact(part.content)
        if isinstance(part, ThinkingPart) and text != part.content:
            # The provider signed what it wrote, and takes no other text with that signature.
            return replace(part, content=text, signature=None)
        return replace(part, content=text)

    def _redacted_arguments(self, part: ToolCallPart) -> Any:
        arguments = arguments_of(part)
        if arguments is None:
            return self.redact(part.args)
        redacted = self.redact(arguments)
        return part.args if redacted == arguments else redacted

    def _with_unique_id(self, part: ToolCallPart) -> ToolCallPart:
        # Some OpenAI-compatible servers number the calls of each answer from zero.
        call_id = _fitting(self.redact(part.tool_call_id), MAX_CALL_ID)
        if call_id in self._call_ids:
            call_id = (
                f"{call_id[: MAX_CALL_ID - _ROOM_FOR_SUFFIX]}-{self.turns}-{len(self._call_ids)}"
            )
        self._call_ids.add(call_id)
        name = _fitting(self.redact(part.tool_name), MAX_NAME)
        return replace(part, tool_name=name, args=storable(part.args), tool_call_id=call_id)


def restore(spec: RunSpec, wrong: Callable[[str], str]) -> Conversation:
    """The conversation at the point where `spec.log` ends; raises ValueError for a damaged log.

    `wrong` says of an answer what the model was told about it, if it had to answer again.
    """
    instructions = spec.system_prompt or None
    prompt = ModelRequest(parts=[UserPromptPart(spec.prompt)], instructions=instructions)
    conversation = Conversation(
        instructions=instructions,
        messages=[*_loaded(spec.history), prompt],
        redact=spec.redact,
    )
    for message in _loaded(spec.log):
        if isinstance(message, ModelResponse):
            last = conversation.messages[-1]
            if conversation.turns and isinstance(last, ModelResponse) and not conversation.calls:
                conversation.correct(wrong(text_of(last)))
            conversation.add_answer(message)
        else:
            for part in message.parts:
                if isinstance(part, ToolReturnPart):
                    conversation.add_result(part)
    return conversation


def dump(message: ModelMessage) -> Message:
    """`message` as JSON values that PostgreSQL takes, fields that are not set left out."""
    dumped = storable(ModelMessagesTypeAdapter.dump_python([message], mode="json")[0])
    return _set_fields(dumped) | {"parts": [_set_fields(part) for part in dumped["parts"]]}


def failed_call(*, call_id: str, tool: str, error: str) -> Message:
    """What `RunSpec.log` takes for a call whose result nobody journalled."""
    part = ToolReturnPart(tool_name=tool, content=error, tool_call_id=call_id, outcome="failed")
    return dump(ModelRequest(parts=[part]))


def text_of(answer: ModelResponse) -> str:
    """What the model wrote, without its thinking."""
    text: str = storable("".join(p.content for p in answer.parts if isinstance(p, TextPart)))
    return text


def tool_calls(answer: ModelResponse) -> list[ToolCallPart]:
    """The calls the model asks for, in its order."""
    return [part for part in answer.parts if isinstance(part, ToolCallPart)]


def as_tool_call(part: ToolCallPart, name: str) -> ToolCall:
    """For the journal, under the tool's own name; no JSON object as arguments becomes `{}`."""
    return ToolCall(id=part.tool_call_id, tool=name, arguments=arguments_of(part) or {})


def arguments_of(part: ToolCallPart) -> dict[str, Any] | None:
    """The arguments, or None when the model did not write a JSON object."""
    try:
        arguments: dict[str, Any] = storable(part.args_as_dict(raise_if_invalid=True))
    except (ValueError, AssertionError):
        return None
    return arguments


def usage_of(answer: ModelResponse) -> Usage:
    """The tokens of one answer as the provider counted them."""
    counted = answer.usage
    return Usage(
        requests=1,
        input_tokens=counted.input_tokens,
        output_tokens=counted.output_tokens,
        cache_read_tokens=counted.cache_read_tokens,
        cache_write_tokens=counted.cache_write_tokens,
        unmeasured_requests=counted.unmeasured_requests,
    )


def _size_of(part: ModelRequestPart | ModelResponsePart) -> int:
    match part:
        case TextPart(content=text) | UserPromptPart(content=str(text)):
            size = len(text.encode())
        case ThinkingPart(content=text, signature=signature):
            size = len(text.encode()) + len(signature or "")
        case ToolCallPart(tool_name=name):
            size = len(name) + len(part.args_as_json_str().encode())
        case ToolReturnPart(tool_name=name):
            size = len(name) + len(part.model_response_str().encode())
        case _:
            size = len(json.dumps(str(part)))
    return size + _FRAME_BYTES


def _fitting(text: str, limit: int) -> str:
    """`text` as a column of `limit` characters takes it; what is altered is no tool's name."""
    fit: str = storable(str(text).replace("\x00", "\ufffd"))
    return fit if len(fit) <= limit else fit[: limit - 1] + "…"


def _storable_usage(usage: RequestUsage, call: ModelCall | None) -> RequestUsage:
    """The usage, or that there is none: figures that cannot be true must not say what it cost."""
    if _is_credible(usage, call):
        return usage
    return RequestUsage(unmeasured_requests=1)


def _is_credible(usage: RequestUsage, call: ModelCall | None) -> bool:
    sent, written = usage.input_tokens, usage.output_tokens
    cached = (usage.cache_read_tokens, usage.cache_write_tokens)
    counts = (sent, written, *cached)
    if not all(type(count) is int and 0 <= count <= MAX_TOKENS for count in counts):
        return False
    if call is not None and (
        sent > _most(call.input_tokens) or written > _most(call.output_tokens)
    ):
        return False
    return sent > 0 and sum(cached) <= sent


def _most(bound: int) -> int:
    # Providers add words of their own; what is far beyond the bound of the call is no count.
    return 10 * bound + 10_000


def _set_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None or name == "content"}


def _loaded(messages: Sequence[Message]) -> list[ModelMessage]:
    return ModelMessagesTypeAdapter.validate_python(messages)
