"""Why the hub itself stops a run, in sentences a person can act on."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from agents.runtime.spec import FailureKind, Guardrails, RunFailure, Usage

logger = logging.getLogger(__name__)

BY_OVERRIDE: Final = ", set by the agent's override"


class RunStopped(Exception):
    """Ends a run from wherever it is; `failure` says why."""

    def __init__(self, failure: RunFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def internal(error: Exception) -> RunFailure:
    """A fault of ours; the traceback goes to the log."""
    logger.error("agents.run.broke", exc_info=error)
    return RunFailure(
        kind=FailureKind.INTERNAL,
        message=f"The runtime failed unexpectedly ({type(error).__name__}). See the worker's log.",
        retryable=True,
    )


def breaker_open(message: str, *, seconds: float) -> RunFailure:
    """The provider is not called for a while; `message` says why."""
    return RunFailure(
        kind=FailureKind.BREAKER_OPEN,
        message=message,
        retryable=True,
        retry_after_seconds=seconds,
    )


def agent_disabled(message: str, *, override_id: UUID | None) -> RunFailure:
    """Somebody disabled the agent; `message` says so."""
    kind = FailureKind.AGENT_DISABLED
    return RunFailure(kind=kind, message=message, retryable=True, held_by=override_id)


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


def _set_by(guardrails: Guardrails, name: str) -> str:
    return BY_OVERRIDE if name in guardrails.overridden else ""


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
