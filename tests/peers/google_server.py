"""Plays Google's generateContent API: `python -m tests.peers.google_server --port 0`."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.peers.model_server import Dialect, ModelPeer, Received, event, main
from tests.peers.openai_server import example
from tests.peers.script import Answer, Refusal, Respond, Step

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class GoogleDialect(Dialect):
    """POST /v1beta/models/{model}:streamGenerateContent, or :generateContent."""

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "")

    def is_streamed(self, received: Received) -> bool:
        return ":streamGenerateContent" in received.path

    def begin(self, received: Received) -> Iterable[str]:
        return ()

    def words(self, text: str) -> str:
        return event(_candidate([{"text": text}]))

    def end(self, answer: Answer) -> Iterable[str]:
        usage = {"usageMetadata": _usage(answer)}
        yield event(_candidate(_calls(answer) or [{"text": ""}], answer.finish or "STOP") | usage)

    def whole(self, received: Received, answer: Answer) -> Mapping[str, Any]:
        parts = [{"text": answer.text}] if answer.text else []
        usage = {"usageMetadata": _usage(answer)}
        return _candidate([*parts, *_calls(answer)], answer.finish or "STOP") | usage

    def error(self, refusal: Refusal, message: str) -> Mapping[str, Any]:
        status = refusal.kind or _STATUSES.get(refusal.status, "INTERNAL")
        return {"error": {"code": refusal.status, "message": message, "status": status}}

    def default(self, body: Mapping[str, Any]) -> Step:
        parts = body["contents"][-1]["parts"]
        declared = [d for tool in body.get("tools", ()) for d in tool["functionDeclarations"]]
        if declared and not any("functionResponse" in part for part in parts):
            schema = declared[0].get("parametersJsonSchema", {})
            return Answer(tool_calls=((declared[0]["name"], example(schema)),))
        return Answer(text=f"The peer answers: {str(parts)[:500]}")


def google_peer(*script: Step, respond: Respond | None = None) -> ModelPeer:
    """A server that plays `script`."""
    return ModelPeer(GoogleDialect(), *script, respond=respond)


def _candidate(parts: list[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r1"}


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": name, "args": args}} for name, args in answer.tool_calls]


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": answer.output_tokens,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
    }


if __name__ == "__main__":
    main(GoogleDialect())
