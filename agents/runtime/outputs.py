"""Answers that must be JSON of a given shape: how the model is asked for them, and the check."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition

from kernel import json_schemas, json_validation
from kernel.json_schemas import SchemaRefused

# How often a model is told what is wrong with its answer before the run fails.
CORRECTIONS: Final = 2
ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
UNKEPT: Final = (
    "$: it holds what cannot be kept: NUL, half of a surrogate pair or a number that is too large"
)
_FENCE: Final = "```"


class OutputCheck:
    """What `RunSpec.output_schema` asks of an answer; None asks for nothing."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._refusal = ""
        try:
            # Again: rows may hold what was taken before schemas were read like this.
            self._schema = json_schemas.answer(schema) if schema is not None else None
        except SchemaRefused as reason:
            self._refusal = str(reason)

    def text(self, answer: str) -> str:
        """The JSON text in `answer`; models like to fence it although they are told not to."""
        text = answer.strip()
        if self._schema is None or not text.startswith(_FENCE):
            return answer if self._schema is None else text
        return text.partition("\n")[2].removesuffix(_FENCE).strip()

    def wrong(self, answer: str) -> str:
        """What is wrong with `answer`, as a sentence for the model; empty if it fits."""
        if self._schema is None:
            return ""
        if self._refusal:
            return f"No answer can fit the schema that was asked for: {self._refusal}."
        try:
            value = json.loads(self.text(answer), parse_constant=_refuse)
        except (ValueError, RecursionError):
            return "Your answer is not JSON. Answer again, with nothing but the JSON."
        fault = json_validation.fault_of(self._schema, value)
        if not fault and not json_schemas.is_clean(value):
            fault = UNKEPT
        if not fault:
            return ""
        return (
            f"Your answer does not fit the schema: {fault}."
            " Answer again, with nothing but the JSON."
        )

    def asked_of(
        self, model: Model[Any], parameters: ModelRequestParameters
    ) -> ModelRequestParameters:
        """`parameters` with the schema in the way that `model` understands best.

        Text in both modes, never an output tool: the journal knows one kind of answer. Native mode
        is left where a provider takes it only without tools, or may refuse the schema.
        """
        if self._schema is None:
            return parameters
        profile: Mapping[str, Any] = {**model.profile}
        is_native = (
            profile.get("supports_json_schema_output", False)
            and "properties" in self._schema
            and (not parameters.function_tools or model.system == "openai")
        )
        return replace(
            parameters,
            output_mode="native" if is_native else "prompted",
            output_object=OutputObjectDefinition(json_schema=dict(self._schema), name="answer"),
        )

    def size(self) -> int:
        """Bytes of the schema, with room for what is said around it."""
        return len(json.dumps(self._schema)) + 500 if self._schema is not None else 0


def _refuse(constant: str) -> float:
    """NaN and the infinities, which Python reads and JSON does not have."""
    raise ValueError(constant)
