"""Plays OpenAI's chat-completions API: `python -m tests.peers.openai_server --port 0`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.peers.model_server import Dialect, ModelPeer, Received, event, main
from tests.peers.script import Answer, Refusal, Respond, Step


class OpenAIDialect(Dialect):
    """POST /v1/chat/completions, streamed or whole."""

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def begin(self, received: Received) -> Iterable[str]:
        yield _chunk({"role": "assistant", "content": ""})

    def words(self, text: str) -> str:
        return _chunk({"content": text})

    def end(self, answer: Answer) -> Iterable[str]:
        for number, call in enumerate(_calls(answer)):
            yield _chunk({"tool_calls": [{"index": number, **call}]})
        yield _chunk({}, finish=_finish(answer))
        yield event({**_ENVELOPE, "choices": [], "usage": _usage(answer)})
        yield "data: [DONE]\n\n"

    def whole(self, received: Received, answer: Answer) -> Mapping[str, Any]:
        message = {"role": "assistant", "content": answer.text or None}
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer)  # type: ignore[assignment] # JSON
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer)}
        return {
            **_ENVELOPE,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(answer),
        }

    def error(self, refusal: Refusal, message: str) -> Mapping[str, Any]:
        kind = refusal.kind or "invalid_request_error"
        return {"error": {"message": message, "type": kind, "code": refusal.kind or None}}

    def default(self, body: Mapping[str, Any]) -> Step:
        messages, tools = body["messages"], body.get("tools", ())
        if tools and messages[-1]["role"] == "user":
            schema = tools[0]["function"]
            return Answer(tool_calls=((schema["name"], example(schema["parameters"])),))
        return Answer(text=f"The peer answers: {str(messages[-1]['content'])[:500]}")


def openai_peer(*script: Step, respond: Respond | None = None) -> ModelPeer:
    """A server that plays `script`."""
    return ModelPeer(OpenAIDialect(), *script, respond=respond)


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the required text properties of `schema`."""
    return dict.fromkeys(schema.get("required", ()), "6 * 7")


_ENVELOPE = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gpt-5.6-luna-2026-06-01",
}


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> str:
    return event({**_ENVELOPE, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.tool_calls else "stop")


def _calls(answer: Answer) -> list[dict[str, Any]]:
    ids = answer.call_ids or [f"call_{number}" for number in range(len(answer.tool_calls))]
    return [
        {
            "id": call_id,
            "type": "function",
            "function": {
                "name": name,
                "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
            },
        }
        for call_id, (name, arguments) in zip(ids, answer.tool_calls, strict=True)
    ]


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


if __name__ == "__main__":
    main(OpenAIDialect())
