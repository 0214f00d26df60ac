"""Streams in the OpenAPI document: the front answers them, so Django's routes do not name them."""

from typing import Any, Final

from hub.front.places import TooManyExports
from kernel.http.refusals import Route
from tasks.errors import TaskNotFound

# The front reads a token from these two headers.
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"apiKey": []}]
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
    "security": SECURITY,
    "responses": {
        "200": {
            "description": "",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **Route(method="GET", has_id=True, missing=TaskNotFound).responses(),
    },
}
EXPORT_PATH: Final = "/api/v1/audit-events/export/"
EXPORT: Final[dict[str, Any]] = {
    "operationId": "audit_event_export",
    "description": (
        "The audit chain as signed JSON lines (header, rows, checkpoints, footer), up to the last"
        " row that was sealed when it began; see docs/audit.md."
    ),
    "parameters": [
        {
            "in": "query",
            "name": name,
            "schema": {"type": "string", "format": "date-time"},
            "description": text,
        }
        for name, text in (
            ("since", "RFC 3339; not before it."),
            ("until", "RFC 3339; before it."),
        )
    ],
    "tags": ["audit-events"],
    "security": SECURITY,
    "responses": {
        "200": {
            "description": "",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **Route(method="GET", has_query=True, declared=(TooManyExports,)).responses(),
    },
}
STREAMS: Final = {PATH: STREAM, EXPORT_PATH: EXPORT}


def describe_streams(
    result: dict[str, Any],
    generator: Any,  # noqa: ARG001 - spectacular fixes the signature of its hooks
    request: Any,  # noqa: ARG001 - the same
    public: bool,  # noqa: ARG001, FBT001 - the same
) -> dict[str, Any]:
    """Add each operation in its place: among parameters before words, as the generator sorts."""
    operations = {
        path: {"get": {**operation, "responses": {**operation["responses"]}}}
        for path, operation in STREAMS.items()
    }
    paths = {**result["paths"], **operations}
    result["paths"] = {path: paths[path] for path in sorted(paths, key=_rank)}
    return result


def _rank(path: str) -> str:
    return path.replace("{", " ")
