"""What a run is asked to do and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

Message: TypeAlias = Mapping[str, Any]
"""A pydantic-ai `ModelRequest` or `ModelResponse` as JSON (`ModelMessagesTypeAdapter`)."""

Redact: TypeAlias = Callable[[Any], Any]
"""Gives back JSON values without the secrets in their texts."""

RunStatus: TypeAlias = Literal["success", "error", "timeout", "cancelled"]


def as_it_is(value: Any) -> Any:
    """Where nothing is known to be secret."""
    return value


class FailureKind(StrEnum):
    """Why a run failed; the values are stored and shown, so they never change."""

    PROVIDER_AUTH = "provider_auth"
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    PROVIDER_QUOTA = "provider_quota"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_BAD_RESPONSE = "provider_bad_response"
    BREAKER_OPEN = "breaker_open"
    BUDGET_EXHAUSTED = "budget_exhausted"
    COST_UNPRICED = "cost_unpriced"
    RATE_LIMIT = "rate_limit"
    AGENT_DISABLED = "agent_disabled"
    APPROVAL_PENDING = "approval_pending"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    UNKNOWN_PROVIDER = "unknown_provider"
    TOOL_UNKNOWN = "tool_unknown"
    TOOL_OUTCOME_UNKNOWN = "tool_outcome_unknown"
    GUARDRAIL_TOOL_CALLS = "guardrail_tool_calls"
    GUARDRAIL_TOKENS = "guardrail_tokens"
    GUARDRAIL_OUTPUT = "guardrail_output"
    REPLAY_DIVERGED = "replay_diverged"
    RECORDING_ENDED = "recording_ended"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


# Nothing failed: the run goes on where it stopped once what stands in the way is gone.
HELD: Final = frozenset(
    {
        FailureKind.BREAKER_OPEN,
        FailureKind.BUDGET_EXHAUSTED,
        FailureKind.COST_UNPRICED,
        FailureKind.RATE_LIMIT,
        FailureKind.AGENT_DISABLED,
        FailureKind.APPROVAL_PENDING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits of one run, over all its resumptions but for the time.

    `max_tool_calls`: calls the model may ask for; the call after the last one fails the run.
    `timeout_seconds`: wall time of the whole run, model calls and tools together.
    `max_total_tokens`: input plus output tokens; None is no limit.
    `overridden` are those of them, by name, that an override of the agent set.
    """

    max_tool_calls: int = 25
    timeout_seconds: float = 120
    max_total_tokens: int | None = None
    overridden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """On whose behalf a tool is called. Tools scope every look-up by `organization_id`.

    `call_id` is that of the call at hand (`ToolCall.id`).
    """

    organization_id: UUID
    agent_id: UUID
    run_id: UUID
    task_id: UUID | None = None
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Everything one run needs to know; built from an agent's effective configuration.

    `tools` are names in the tool registry, or of tools that the run brings along. `fallbacks` are
    other (provider, model) that are asked when one cannot answer, in this order.
    `output_schema` is a JSON Schema (2020-12) that the answer must fit; None is free text.
    `history` is the conversation before `prompt`.
    `log` is what this run's journal was given before it was interrupted (`ModelTurn.message` and
    `ToolResult.message`, in order): the run goes on after its last entry. Tool calls in it
    without a result are made again.
    `redact` is applied to whatever model and tools say, before anybody reads it: journal, model
    and tools.
    """

    run_id: UUID
    agent_name: str
    provider: str
    model: str
    prompt: str
    context: ToolContext
    system_prompt: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[str, ...] = ()
    fallbacks: tuple[tuple[str, str], ...] = ()
    output_schema: Mapping[str, Any] | None = None
    guardrails: Guardrails = field(default_factory=Guardrails)
    history: tuple[Message, ...] = ()
    log: tuple[Message, ...] = ()
    redact: Redact = as_it_is


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; `input_tokens` includes those read from or written to
    its cache. `unmeasured_requests` counts answers that came without figures, so that a nonzero
    value makes the rest a lower bound."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    unmeasured_requests: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            unmeasured_requests=self.unmeasured_requests + other.unmeasured_requests,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """Why a run did not succeed.

    `message` is a whole sentence for people that says what to do; it never holds a key or the text
    of a provider's answer. `retryable` says whether the same run may succeed later, not before
    `retry_after_seconds` when somebody named a time. `held_by` is the budget, limit, approval or
    override that stands in the way. `is_unbilled`: the provider did not take the model call that
    failed.
    """

    kind: FailureKind
    message: str
    retryable: bool
    retry_after_seconds: float | None = None
    held_by: UUID | None = None
    is_unbilled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. `error` is None if and only if `status` is "success".

    The engine never returns "cancelled": a cancelled run raises CancelledError, and whoever
    cancelled it writes that result.
    `output` is the final answer, or what there was of one. `usage` and `tool_calls` (those the
    model asked for) include those of `RunSpec.log`; `duration_ms` is of this call of the engine.
    """

    status: RunStatus
    output: str
    error: RunFailure | None
    usage: Usage
    tool_calls: int
    duration_ms: int
