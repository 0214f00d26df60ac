"""The OpenAPI document: stable operation ids, what each route needs, and how it refuses."""

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance
from drf_spectacular.utils import OpenApiParameter
from rest_framework.serializers import ModelSerializer

from kernel.http.refusals import SEED_004, Route
from kernel.http.shapes import StrictInput
from kernel.permissions import ANYONE, PERSON

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem document; what is not required comes with some codes.",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do next."},
        "code": {
            "type": "string",
            "description": "Stable name of the error; each answer's description lists its codes.",
        },
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ProblemField"}},
        "request_id": {"type": "string"},
        "permission": {"type": "string", "description": "The permission that is lacking."},
        "permissions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Those that the caller lacks.",
        },
        "retry_after_seconds": {"type": "integer", "description": "When to come again."},
        "max_age_seconds": {
            "type": "integer",
            "description": "How old a second factor may be; that of the session is older.",
        },
        "limit": {"type": "integer", "description": "How many there may be at once."},
    },
}
PROBLEM_FIELD: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is wrong with one field.",
    "required": ["field", "message", "type"],
    "properties": {
        "field": {"type": "string", "description": "Its path, e.g. `tasks.17.title`."},
        "message": {"type": "string"},
        "type": {"type": "string"},
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
SCHEMAS: Final = {"Problem": PROBLEM, "ProblemField": PROBLEM_FIELD, SEED_004: AGENTHUB_ERROR}
# How spectacular writes the branch of an empty text.
EMPTY: Final = {"type": "string", "maxLength": 0}
COUNT: Final = {"type": "integer", "minimum": 0}
RESPONSE_HEADERS: Final[dict[str, Any]] = {
    "Idempotency-Replayed": {
        "description": "The answer was given before, to the same request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": COUNT},
    "WWW-Authenticate": {
        "description": "The challenge: `Bearer`, or `step-up` with `max_age` (RFC 9470).",
        "schema": {"type": "string"},
    },
    "X-RateLimit-Limit": {
        "description": "Requests a minute of the budget that has least left.",
        "schema": COUNT,
    },
    "X-RateLimit-Remaining": {"description": "What is left of it.", "schema": COUNT},
    "X-RateLimit-Reset": {"description": "Seconds until it is whole again.", "schema": COUNT},
}
IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Makes the request safe to repeat for 24 hours (docs/api.md).",
)
# By name in the document; a token goes the first way that is found, in this order.
SCHEMES: Final[dict[str, dict[str, str]]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of `POST /api/v1/auth/login`, or an API key.",
    },
    "accessTokenHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "agenthub-access-token",
        "description": "The same in a header of its own.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key of `POST /api/v1/security/api-keys`, or an access token.",
    },
    "accessTokenCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "agenthub-access-token",
        "description": "The same in a cookie; what is no GET then needs `X-CSRFToken`.",
    },
}
SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]
ONCE: Final = "The answer is given once: the same `Idempotency-Key` again is 409."


class HubSchema(AutoSchema):
    """Operation ids are `<noun>_<action>`, from the view's `noun`: SDK names hang on them."""

    def get_operation_id(self) -> str:
        """`task_create`, `task_list`, …"""
        noun = getattr(self.view, "noun", None)
        action = getattr(self.view, "action", None)
        if not noun or not action:
            return str(super().get_operation_id())
        return f"{noun}_{action}"

    def get_paginated_name(self, serializer_name: str) -> str:
        """`TaskPage`."""
        return f"{serializer_name}Page"

    def _get_serializer_name(self, *args: Any, **kwargs: Any) -> str:
        """`Task`, `TaskInput`, `TaskChange`: what SDKs call their models.

        Serializers are named `<Noun>Output`, `…Input` or `…Change`, so the marks that tell reading,
        writing and patching apart elsewhere would only be said twice.
        """
        name: str = super()._get_serializer_name(*args, **kwargs)
        if name.endswith("Output"):
            return name.removesuffix("Output")
        bare = name.removesuffix("Request")
        if not bare.endswith(("Input", "Change")):
            return name
        if not bare.startswith("Patched"):
            return bare
        return bare.removeprefix("Patched").removesuffix("Input").removesuffix("Change") + "Change"

    def _map_serializer_field(self, *args: Any, **kwargs: Any) -> Any:
        """As its parent's; a field that may be empty is `anyOf`, because both may fit."""
        schema = super()._map_serializer_field(*args, **kwargs)  # type: ignore[no-untyped-call]  # its library's
        if EMPTY in schema.get("oneOf", ()):
            schema["anyOf"] = schema.pop("oneOf")
        return schema

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        """As its parent's; in an answer every column is there, a strict body takes no other."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # its library's
        shown = force_instance(serializer)
        if direction == "response" and isinstance(shown, ModelSerializer):
            schema["required"] = sorted(schema["properties"])
        if direction == "request" and isinstance(shown, StrictInput):
            schema["additionalProperties"] = False
        return schema

    def get_override_parameters(self) -> list[Any]:
        """What every operation of a method takes."""
        return [IDEMPOTENCY_KEY] if self.method == "POST" else []

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """As its parent's, with what the caller needs and the refusals that follow from it."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None or not hasattr(self.view, "refusals"):
            return operation
        operation["description"] = "\n\n".join((operation["description"], *self._needs()))
        operation["responses"] |= self._route(operation).responses()
        if self.method == "POST" and not self._hands_out_secret():
            replayed = {"$ref": "#/components/headers/Idempotency-Replayed"}
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    response.setdefault("headers", {})["Idempotency-Replayed"] = replayed
        return operation

    def _route(self, operation: dict[str, Any]) -> Route:
        view: Any = self.view
        where = [p["in"] for p in operation.get("parameters", [])]
        return Route(
            method=self.method,
            takes_token={} not in operation.get("security", [{}]),
            asks_step_up=self._asks_step_up(),
            has_id=bool(view.detail),
            has_query="query" in where,
            has_body="requestBody" in operation,
            is_limited=view.rate_limited,
            hands_out_secret=self._hands_out_secret(),
            missing=view.missing,
            declared=tuple(view.refusals.get(view.action, ())),
            shape=view.error_shape,
        )

    def _needs(self) -> list[str]:
        view: Any = self.view
        permission = view.permissions.get(view.action)
        needs = []
        if permission not in {None, ANYONE, PERSON}:
            needs.append(f"Needs the permission `{permission}`.")
        if permission == PERSON or view.action in getattr(view, "persons_only", ()):
            needs.append("For people who are logged in: no API key may do this.")
        if self._asks_step_up():
            needs.append("The organization may ask for a fresh second factor.")
        if self._hands_out_secret():
            needs.append(ONCE)
        return needs

    def _asks_step_up(self) -> bool:
        view: Any = self.view
        return view.action in getattr(view, "step_up", ())

    def _hands_out_secret(self) -> bool:
        view: Any = self.view
        return view.one_time_secret or view.action in view.secret_actions


class TokenSchemes(OpenApiAuthenticationExtension):
    """The ways a token may go."""

    target_class = "accounts.permissions.SessionTokenAuthentication"
    name = list(SCHEMES)  # several at once

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        """Each of them."""
        return list(SCHEMES.values())

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        """Any of them will do."""
        return SECURITY


def describe_components(
    result: dict[str, Any],
    generator: Any,  # noqa: ARG001 - spectacular fixes the signature of its hooks
    request: Any,  # noqa: ARG001 - the same
    public: bool,  # noqa: ARG001, FBT001 - the same
) -> dict[str, Any]:
    """Add what the operations refer to."""
    components = result["components"]
    components["schemas"] |= SCHEMAS
    components["headers"] = RESPONSE_HEADERS
    return result
