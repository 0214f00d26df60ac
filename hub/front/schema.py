"""The stream in the OpenAPI document: the front answers it, so Django's routes do not name it."""

from typing import Any, Final

PATH: Final = "/api/v1/tasks/{id}/stream/"
STREAM: Final[dict[str, Any]] = {
    "operationId": "task_stream",
    "description": (
        "The task's runs as server-sent events: what has happened, then what happens, until the"
        " task ends. Events `token`, `turn`, `tool_start`, `tool_result`, `progress`, `done`, and"
        " at the end `complete` or `error`; see docs/events.md."
    ),
    "parameters": [
        {
            "in": "header",
            "name": "Last-Event-ID",
            "schema": {"type": "string"},
            "description": "The `id` of the last event received: go on after it.",
        },
        {
            "in": "path",
            "name": "id",
            "schema": {"type": "string", "pattern": "^[^/]+$"},
            "required": True,
        },
    ],
    "tags": ["tasks"],
    "security": [{"bearer": []}],
    "responses": {
        "200": {
            "description": "",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
}


def describe_streams(
    result: dict[str, Any],
    generator: Any,  # noqa: ARG001 - spectacular fixes the signature of its hooks
    request: Any,  # noqa: ARG001 - the same
    public: bool,  # noqa: ARG001, FBT001 - the same
) -> dict[str, Any]:
    """Add the operation in its place: among parameters before words, as the generator sorts."""
    operation = {**STREAM, "responses": {**STREAM["responses"]}}
    paths = {**result["paths"], PATH: {"get": operation}}
    result["paths"] = {path: paths[path] for path in sorted(paths, key=_rank)}
    return result


def _rank(path: str) -> str:
    return path.replace("{", " ")
