"""Agents and runs for tests."""

from itertools import count
from typing import Any

from accounts.models import Organization
from agents.models import Agent
from agents.operations import registry
from agents.runtime.spec import FailureKind, RunFailure, RunResult, Usage
from kernel import clock
from kernel.actors import Actor

_numbers = count(1)
PERSON = Actor(type="user", id="1", label="person@example.com")


def make_agent(organization: Organization, *, started: bool = True, **values: Any) -> Agent:
    """A demo agent, ready for tasks unless `started` is False."""
    named = {"name": f"Agent {next(_numbers)}", "llm_provider": "demo", **values}
    scope: dict[str, Any] = {
        "organization_id": organization.pk,
        "actor": PERSON,
        "now": clock.now(),
    }
    agent = registry.create_agent(values=named, **scope)
    return registry.start_agent(agent_id=agent.pk, **scope) if started else agent


def answered(output: str = "Done.") -> RunResult:
    """A run that came to an answer."""
    return RunResult(
        status="success", output=output, error=None, usage=Usage(), tool_calls=0, duration_ms=7
    )


def failed(*, retryable: bool = True, after: float | None = None) -> RunResult:
    """A run whose provider did not answer."""
    failure = RunFailure(
        kind=FailureKind.PROVIDER_UNAVAILABLE,
        message="The provider is away.",
        retryable=retryable,
        retry_after_seconds=after,
    )
    return RunResult(
        status="error", output="", error=failure, usage=Usage(), tool_calls=0, duration_ms=7
    )
