"""From what went wrong to a sentence a person can act on.

A provider's own words are never repeated: they may hold the key, or parts of it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestTimeout,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnexpectedModelBehavior,
)

from agents.runtime.providers import PROVIDERS, Provider
from agents.runtime.spec import FailureKind, Guardrails, RunFailure, Usage

logger = logging.getLogger(__name__)

BY_OVERRIDE: Final = ", set by the agent's override"
TRANSIENT_STATUSES: Final = frozenset({408, 409, 425})
# What the SDKs raise over JSON of another shape: they do not validate what they read.
_MISREAD: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class RunStopped(Exception):
    """Ends a run from wherever it is; `failure` says why."""

    def __init__(self, failure: RunFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def of_model_call(error: Exception, *, provider: str, model: str) -> RunFailure:
    """Classify what a model call raised."""
    found = PROVIDERS[provider]
    for kind, describe in _BY_TYPE:
        if isinstance(error, kind):
            return describe(error, found, model)
    if isinstance(error, ModelHTTPError):
        return _of_status(error, found)
    if type(error) is ModelAPIError and "without a `finish_reason`" in error.message:
        return cut_off(provider)
    if isinstance(error, ModelAPIError | UnexpectedModelBehavior):
        return bad_response(provider)
    if isinstance(error, _MISREAD):
        logger.warning("agents.provider.misread", exc_info=error)
        return bad_response(provider)
    return internal(error)


def internal(error: Exception) -> RunFailure:
    """A fault of ours; the traceback goes to the log."""
    logger.error("agents.run.broke", exc_info=error)
    return RunFailure(
        kind=FailureKind.INTERNAL,
        message=f"The runtime failed unexpectedly ({type(error).__name__}). See the worker's log.",
        retryable=True,
    )


def bad_response(provider: str) -> RunFailure:
    """The provider answered with something that is not an answer."""
    return RunFailure(
        kind=FailureKind.PROVIDER_BAD_RESPONSE,
        message=(
            f"{PROVIDERS[provider].label} sent an answer that could not be read. If this"
            f" repeats, check {PROVIDERS[provider].url_variable or 'the provider'}."
        ),
        retryable=True,
    )


def cut_off(provider: str) -> RunFailure:
    """The stream ended before the provider said that the answer was complete."""
    return _unavailable(PROVIDERS[provider], "broke off in the middle of an answer")


def empty_answer(provider: str, *, at_limit: bool) -> RunFailure:
    """Neither text nor a tool call; `at_limit` when `max_tokens` ran out before any."""
    if not at_limit:
        return bad_response(provider)
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message="The model used up max_tokens before it wrote an answer. Raise max_tokens.",
        retryable=False,
    )


def breaker_open(message: str, *, seconds: float) -> RunFailure:
    """The provider is not called for a while; `message` says why."""
    return RunFailure(
        kind=FailureKind.BREAKER_OPEN,
        message=message,
        retryable=True,
        retry_after_seconds=seconds,
    )


def filtered(provider: str) -> RunFailure:
    """The provider's content filter withheld the answer."""
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message=f"The content filter of {PROVIDERS[provider].label} withheld the answer. Reword.",
        retryable=False,
    )


def agent_disabled(message: str) -> RunFailure:
    """Somebody disabled the agent; `message` says so."""
    return RunFailure(kind=FailureKind.AGENT_DISABLED, message=message, retryable=True)


def budget_exhausted(message: str, *, seconds: float, budget_id: UUID | None) -> RunFailure:
    """The next model call might cost more than a budget has left."""
    return RunFailure(
        kind=FailureKind.BUDGET_EXHAUSTED,
        message=message,
        retryable=True,
        retry_after_seconds=seconds,
        held_by=budget_id,
    )


def cost_unpriced(message: str, *, seconds: float) -> RunFailure:
    """Nobody knows what the next model call would cost, and a hard budget would have to."""
    kind = FailureKind.COST_UNPRICED
    return RunFailure(kind=kind, message=message, retryable=True, retry_after_seconds=seconds)


def rate_limit(message: str, *, seconds: float, rule_id: UUID) -> RunFailure:
    """What a limit of the organization allows in a minute is used up; `message` says of whom."""
    return RunFailure(
        kind=FailureKind.RATE_LIMIT,
        message=message,
        retryable=True,
        retry_after_seconds=seconds,
        held_by=rule_id,
    )


def approval_pending(tool: str, approval_id: UUID) -> RunFailure:
    """A call waits for a person's decision."""
    return RunFailure(
        kind=FailureKind.APPROVAL_PENDING,
        message=f"A person has to approve the call of {tool} (approval {approval_id}).",
        retryable=True,
        held_by=approval_id,
    )


def held(failures: Sequence[RunFailure]) -> RunFailure:
    """Why a run cannot go on some of whose calls could not be made; decisions of people last:
    the other reasons may be gone sooner."""
    others = [each for each in failures if each.kind is not FailureKind.APPROVAL_PENDING]
    if others:
        return others[0]
    return replace(failures[0], message=" ".join(each.message for each in failures))


def timed_out(guardrails: Guardrails) -> RunFailure:
    """The run as a whole took too long."""
    return RunFailure(
        kind=FailureKind.TIMEOUT,
        message=(
            f"The run did not end within its {_rounded(guardrails.timeout_seconds)} s"
            f" (timeout_seconds{_set_by(guardrails, 'timeout_seconds')}). Give it more time"
            " or a smaller task."
        ),
        retryable=True,
    )


def too_many_tool_calls(guardrails: Guardrails, number: int) -> RunFailure:
    """The model asked for more calls than the guardrail allows; `number` in all."""
    return RunFailure(
        kind=FailureKind.GUARDRAIL_TOOL_CALLS,
        message=(
            f"The model asked for {number} tool calls, and max_tool_calls is"
            f" {guardrails.max_tool_calls}{_set_by(guardrails, 'max_tool_calls')}. Raise it"
            " or make the instructions narrower."
        ),
        retryable=False,
    )


def too_many_tokens_below(
    agent_name: str, limit: int, used: int, *, is_overridden: bool = False
) -> RunFailure:
    """The run used more tokens than the guardrail allows, with the agents that it called."""
    set_by = BY_OVERRIDE if is_overridden else ""
    return RunFailure(
        kind=FailureKind.GUARDRAIL_TOKENS,
        message=(
            f"{agent_name} and the agents that it called used {used} tokens, and"
            f" max_tokens_per_task of {agent_name} is {limit}{set_by}. Raise it or make the task"
            " smaller."
        ),
        retryable=False,
    )


def too_many_tokens(guardrails: Guardrails, usage: Usage) -> RunFailure:
    """The run used more tokens than the guardrail allows."""
    return RunFailure(
        kind=FailureKind.GUARDRAIL_TOKENS,
        message=(
            f"The run used {usage.total_tokens} tokens, and max_tokens_per_task is"
            f" {guardrails.max_total_tokens}{_set_by(guardrails, 'max_total_tokens')}. Raise it"
            " or make the task smaller."
        ),
        retryable=False,
    )


def wrong_output(wrong: str, times: int) -> RunFailure:
    """The answers do not fit the output schema; `wrong` says how the last one does not."""
    return RunFailure(
        kind=FailureKind.GUARDRAIL_OUTPUT,
        message=(
            f"The model answered {times} times and never as output_schema asks."
            f" It was told: {wrong} Simplify the schema or choose another model."
        ),
        retryable=False,
    )


def unknown_tools(names: list[str]) -> RunFailure:
    """The agent enables tools that this hub does not have."""
    return RunFailure(
        kind=FailureKind.TOOL_UNKNOWN,
        message=(
            f"The agent enables tools that this hub does not have: {', '.join(names)}. Remove"
            " them from enabled_tools or install the app that provides them."
        ),
        retryable=False,
    )


def no_provider(provider: str, reason: str) -> RunFailure:
    """The provider does not exist or has no key."""
    known = provider in PROVIDERS
    kind = FailureKind.PROVIDER_NOT_CONFIGURED if known else FailureKind.UNKNOWN_PROVIDER
    return RunFailure(kind=kind, message=reason, retryable=False)


def _of_auth(error: Exception, provider: Provider, _model: str) -> RunFailure:
    status = f" ({error.status_code})" if isinstance(error, ModelHTTPError) else ""
    return RunFailure(
        kind=FailureKind.PROVIDER_AUTH,
        message=(
            f"{provider.label} refused the API key{status}. Check {provider.key_variable}, or the"
            f" setting llm.{provider.name}_api_key."
        ),
        retryable=False,
    )


def _of_rate(error: Exception, provider: Provider, _model: str) -> RunFailure:
    after = getattr(error, "retry_after", None)
    wait = f" It asks to wait {after:g} s." if after is not None else ""
    return RunFailure(
        kind=FailureKind.PROVIDER_RATE_LIMITED,
        message=(
            f"{provider.label} limits the rate of requests (429).{wait} Run fewer tasks at once"
            " or raise the limit of the account."
        ),
        retryable=True,
        retry_after_seconds=after,
    )


def _of_quota(_error: Exception, provider: Provider, _model: str) -> RunFailure:
    return RunFailure(
        kind=FailureKind.PROVIDER_QUOTA,
        message=(
            f"The {provider.label} account is out of quota or credit. Top it up, or choose another"
            " provider."
        ),
        retryable=False,
    )


def _of_model_name(_error: Exception, provider: Provider, model: str) -> RunFailure:
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message=(
            f"{provider.label} does not know the model {model[:100]!r} (404). Choose another model,"
            f" or check {provider.url_variable}."
        ),
        retryable=False,
    )


def _of_context(_error: Exception, _provider: Provider, model: str) -> RunFailure:
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message=(
            f"The conversation no longer fits into the model {model[:100]!r}. Make the task smaller"
            " or choose a model with a larger context."
        ),
        retryable=False,
    )


def _of_timeout(_error: Exception, provider: Provider, _model: str) -> RunFailure:
    return RunFailure(
        kind=FailureKind.PROVIDER_TIMEOUT,
        message=f"{provider.label} did not answer in time. Try again later.",
        retryable=True,
    )


def _of_connection(error: Exception, provider: Provider, _model: str) -> RunFailure:
    if getattr(error, "phase", None) in {"read", None}:
        return _unavailable(provider, "broke off the connection")
    return _unavailable(provider, "could not be reached")


def _of_server(error: Exception, provider: Provider, _model: str) -> RunFailure:
    status = f" ({error.status_code})" if isinstance(error, ModelHTTPError) else ""
    after = error.retry_after if isinstance(error, ModelAPIError) else None
    return _unavailable(provider, f"is out of order at the moment{status}", after=after)


def _of_status(error: ModelHTTPError, provider: Provider) -> RunFailure:
    if error.status_code in TRANSIENT_STATUSES:
        return _of_server(error, provider, "")
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message=(
            f"{provider.label} refused the request ({error.status_code}). Check the agent's model,"
            " temperature, max_tokens and tools."
        ),
        retryable=False,
    )


def _unavailable(provider: Provider, what: str, *, after: float | None = None) -> RunFailure:
    where = f", and {provider.url_variable} if you set it" if provider.url_variable else ""
    return RunFailure(
        kind=FailureKind.PROVIDER_UNAVAILABLE,
        message=f"{provider.label} {what}. Try again later; check the network{where}.",
        retryable=True,
        retry_after_seconds=after,
    )


def _set_by(guardrails: Guardrails, name: str) -> str:
    return BY_OVERRIDE if name in guardrails.overridden else ""


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


# Order matters: the first match wins, and several of these are subclasses of later ones.
_BY_TYPE: Final[
    tuple[
        tuple[
            type[Exception] | tuple[type[Exception], ...],
            Callable[[Exception, Provider, str], RunFailure],
        ],
        ...,
    ]
] = (
    (ModelAuthenticationError, _of_auth),
    (ModelQuotaExceededError, _of_quota),
    (ModelRateLimitError, _of_rate),
    (ModelNotFoundError, _of_model_name),
    (ModelContextWindowExceededError, _of_context),
    ((ModelTimeoutError, ModelRequestTimeout, httpx2.TimeoutException), _of_timeout),
    ((ModelUnavailableError, ModelServerError), _of_server),
    ((ModelConnectionError, httpx2.TransportError), _of_connection),
)
