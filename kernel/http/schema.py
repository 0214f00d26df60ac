"""The OpenAPI document: stable operation ids, one error component, one security scheme."""

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from kernel.http.problems import MEDIA_TYPE

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do next."},
        "code": {"type": "string", "description": "Stable name of the error."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "type"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}
# `kernel.http.agenthub`; a stranger to the routes about the caller gets the first two alone.
AGENTHUB_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Refusal in the words of the AgentHub API.",
    "required": ["status", "message"],
    "properties": {
        "status": {"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["ERR"]}]},
        "message": {"type": "string"},
        "result": {"type": "string", "enum": ["ERR"]},
        "errCode": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "date": {"type": "string", "format": "date-time"},
        "detail": {"type": "string"},
    },
}
ALWAYS: Final = {"400": "Malformed request", "429": "Too many requests", "503": "Unavailable"}
SECURED: Final = {"401": "Not authenticated", "403": "Forbidden"}
WRITES: Final = {"409": "The state forbids it", "415": "Not JSON", "422": "Invalid values"}

IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Makes the request safe to repeat for 24 hours (docs/api.md).",
)


class HubSchema(AutoSchema):
    """Operation ids are `<noun>_<action>`, from the view's `noun`: SDK names hang on them."""

    def get_operation_id(self) -> str:
        """`task_create`, `task_list`, …"""
        noun = getattr(self.view, "noun", None)
        action = getattr(self.view, "action", None)
        if not noun or not action:
            return str(super().get_operation_id())
        return f"{noun}_{action}"

    def get_override_parameters(self) -> list[Any]:
        """What every operation of a method takes."""
        return [IDEMPOTENCY_KEY] if self.method == "POST" else []


class BearerScheme(OpenApiAuthenticationExtension):
    """Names the access token of `POST /api/v1/auth/login` in the document."""

    target_class = "accounts.permissions.SessionTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def describe_problems(
    result: dict[str, Any],
    generator: Any,  # noqa: ARG001 - spectacular fixes the signature of its hooks
    request: Any,  # noqa: ARG001 - the same
    public: bool,  # noqa: ARG001, FBT001 - the same
) -> dict[str, Any]:
    """Add the problem component and the errors each operation can answer."""
    result["components"]["schemas"] |= {"Problem": PROBLEM, "AgentHubError": AGENTHUB_ERROR}
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            # Paths outside of the prefix are seed 004's, which has an envelope of its own.
            is_ours = path.startswith("/api/")
            expected = _expected(path, method, operation)
            for status, text in sorted(expected.items()):
                if is_ours or status != "422":  # it answers 400
                    refusal = (_problem if is_ours else _agenthub_error)(text)
                    operation["responses"].setdefault(status, refusal)
    return result


def _expected(path: str, method: str, operation: dict[str, Any]) -> dict[str, str]:
    """The errors that the operation can answer."""
    expected = dict(ALWAYS)
    if any("bearer" in scheme for scheme in operation.get("security", [])):
        expected |= SECURED
    if "{" in path:
        expected |= {"404": "Not found", "422": "Invalid values"}
    if method != "get":
        expected |= WRITES
    elif any(p["in"] == "query" for p in operation.get("parameters", [])):
        expected |= {"422": "Invalid values"}
    return expected


def _agenthub_error(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/AgentHubError"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
