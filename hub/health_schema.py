"""Probes in the OpenAPI document: plain views, so that it would not name them by itself."""

from typing import Any, Final

from kernel.http.problems import MEDIA_TYPE

TEXT: Final = {"type": "string"}


def _object(description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name != "failures"],
        "properties": properties,
    }


SCHEMAS: Final[dict[str, Any]] = {
    "Liveness": _object("The process answers.", status={"type": "string", "enum": ["ok"]}),
    "ServiceHealth": _object(
        "What runs here.",
        status={"type": "string", "enum": ["healthy"]},
        service=TEXT,
        version=TEXT,
        environment=TEXT,
    ),
    "Readiness": _object(
        "Whether the process may be sent requests.",
        status={"type": "string", "enum": ["ready", "not_ready"]},
        version=TEXT,
        checks={
            "type": "object",
            "description": "`ok`, or what is wrong, of each part.",
            "additionalProperties": TEXT,
        },
        failures={
            "type": "object",
            "description": "Those that are not `ok`.",
            "additionalProperties": TEXT,
        },
    ),
}


def _answer(description: str, schema: str, media: str = "application/json") -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {media: {"schema": reference}}}


def _probe(operation_id: str, description: str, **responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation_id,
            "description": description,
            "tags": ["probes"],
            "security": [{}],
            "responses": {status.removeprefix("_"): each for status, each in responses.items()},
        }
    }


PROBES: Final = {
    "/health": _probe("probe_health", "What runs here.", _200=_answer("", "ServiceHealth")),
    "/healthz": _probe(
        "probe_live",
        "Whether the process answers; asks nobody else.",
        _200=_answer("", "Liveness"),
    ),
    "/readyz": _probe(
        "probe_ready",
        "Whether database and Redis answer and the operator's gate is open; also at `/ready`.",
        _200=_answer("", "Readiness"),
        _503=_answer("Something fails.", "Readiness"),
    ),
    "/metrics": _probe(
        "probe_metrics",
        "Prometheus metrics, for whom HUB_METRICS_TOKEN (as a bearer token) or HUB_METRICS_ALLOW"
        " lets in.",
        _200={"description": "", "content": {"text/plain": {"schema": TEXT}}},
        _403=_answer("Forbidden: `metrics.not_public`.", "Problem", MEDIA_TYPE),
    ),
}


def describe_probes(
    result: dict[str, Any],
    generator: Any,  # noqa: ARG001 - spectacular fixes the signature of its hooks
    request: Any,  # noqa: ARG001 - the same
    public: bool,  # noqa: ARG001, FBT001 - the same
) -> dict[str, Any]:
    """Add each probe; `describe_streams`, which comes after it, puts them in their place."""
    result["paths"] |= PROBES
    result["components"]["schemas"] |= SCHEMAS
    return result
