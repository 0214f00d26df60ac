"""What went wrong with a model provider, in sentences a person can act on.

A provider's own words are never repeated: they may hold the key, or parts of it.
"""

import logging
from collections.abc import Callable
from typing import Final

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

from agents.runtime.failures import internal
from agents.runtime.providers import PROVIDERS, Provider
from agents.runtime.spec import FailureKind, RunFailure

logger = logging.getLogger(__name__)

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


def filtered(provider: str) -> RunFailure:
    """The provider's content filter withheld the answer."""
    return RunFailure(
        kind=FailureKind.PROVIDER_REJECTED,
        message=f"The content filter of {PROVIDERS[provider].label} withheld the answer. Reword.",
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
