"""Plays Anthropic's messages API: `python -m tests.peers.anthropic_server --port 0`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.peers.model_server import Dialect, ModelPeer, Received, event, main
from tests.peers.openai_server import example
from tests.peers.script import Answer, Refusal, Respond, Step

_KINDS = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
_MODEL = "claude-sonnet-5-5-20260901"


class AnthropicDialect(Dialect):
    """POST /v1/messages, streamed or whole."""

    def key(self, headers: Mapping[str, str]) -> str:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return headers.get("x-api-key", bearer)

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def begin(self, received: Received) -> Iterable[str]:
        message = {**_envelope(), "content": [], "stop_reason": None, "usage": _usage(10, 1)}
        yield _event("message_start", message=message)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def words(self, text: str) -> str:
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def end(self, answer: Answer) -> Iterable[str]:
        yield _event("content_block_stop", index=0)
        for number, call in enumerate(_calls(answer), start=1):
            written = call["input"] if isinstance(call["input"], str) else json.dumps(call["input"])
            delta = {"type": "input_json_delta", "partial_json": written}
            yield _event("content_block_start", index=number, content_block={**call, "input": {}})
            yield _event("content_block_delta", index=number, delta=delta)
            yield _event("content_block_stop", index=number)
        yield _event(
            "message_delta",
            delta={"stop_reason": _finish(answer), "stop_sequence": None},
            usage=_usage(answer.input_tokens, answer.output_tokens),
        )
        yield _event("message_stop")

    def whole(self, received: Received, answer: Answer) -> Mapping[str, Any]:
        text = [{"type": "text", "text": answer.text}] if answer.text else []
        return {
            **_envelope(),
            "content": [*text, *_calls(answer)],
            "stop_reason": _finish(answer),
            "usage": _usage(answer.input_tokens, answer.output_tokens),
        }

    def error(self, refusal: Refusal, message: str) -> Mapping[str, Any]:
        kind = refusal.kind or _KINDS.get(refusal.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def default(self, body: Mapping[str, Any]) -> Step:
        last, tools = body["messages"][-1], body.get("tools", ())
        blocks = last["content"] if isinstance(last["content"], list) else []
        if tools and not any(block["type"] == "tool_result" for block in blocks):
            return Answer(tool_calls=((tools[0]["name"], example(tools[0]["input_schema"])),))
        return Answer(text=f"The peer answers: {str(last['content'])[:500]}")


def anthropic_peer(*script: Step, respond: Respond | None = None) -> ModelPeer:
    """A server that plays `script`."""
    return ModelPeer(AnthropicDialect(), *script, respond=respond)


def _envelope() -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": _MODEL}


def _event(kind: str, **data: Any) -> str:
    return event({"type": kind, **data}, kind)


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_use" if answer.tool_calls else "end_turn")


def _calls(answer: Answer) -> list[dict[str, Any]]:
    ids = answer.call_ids or [f"toolu_{number}" for number in range(len(answer.tool_calls))]
    return [
        {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        for call_id, (name, arguments) in zip(ids, answer.tool_calls, strict=True)
    ]


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens}


if __name__ == "__main__":
    main(AnthropicDialect())
