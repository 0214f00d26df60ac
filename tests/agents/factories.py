"""Agents and runs for tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

from accounts.models import Organization
from agents.models import Agent, AgentExecution, AgentOverride
from agents.operations import catalogue, overrides, registry
from agents.runtime.spec import FailureKind, RunFailure, RunResult, Usage
from agents.runtime.tools import Tool
from cost.operations import reservations
from kernel import clock
from kernel.actors import Actor
from tools.operations.builtins import BUILTINS

_numbers = count(1)
SOMEBODY = UUID("0198a1b2-0000-7000-8000-000000000001")
PERSON = Actor(type="user", id="018f0000-0000-7000-8000-000000000001", label="person@example.com")


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


@contextmanager
def registered(*tools: Tool) -> Iterator[None]:
    """A hub that has these tools too."""
    catalogue.register_tools(tools)
    try:
        yield
    finally:
        for tool in tools:
            del catalogue.TOOLS._tools[tool.name], BUILTINS[tool.name]


def noting(made: list[str], name: str, side_effect: Any, **fields: Any) -> Tool:
    """A tool that writes its name into `made` each time it is called."""

    def call(_context: Any, _arguments: Mapping[str, Any]) -> Any:
        made.append(name)
        return {"done": name, "call": len(made)}

    return Tool(
        name=name,
        description=name,
        parameters={"type": "object", "properties": {"text": {"type": "string"}}},
        call=call,
        side_effect=side_effect,
        idempotent=side_effect == "read",
        **fields,
    )


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


def make_override(organization: Organization, agent_name: str = "", **values: Any) -> AgentOverride:
    """An override of the agent of that name."""
    return overrides.create_override(
        organization_id=organization.pk,
        agent_name=agent_name or f"Agent {next(_numbers)}",
        values=values,
        actor=PERSON,
        user_id=SOMEBODY,
        now=clock.now(),
    )


def change_override(override: AgentOverride, **values: Any) -> AgentOverride:
    """The same with other values."""
    return overrides.update_override(values=values, **_writing(override))


def drop_override(override: AgentOverride) -> AgentOverride:
    """Its last state."""
    return overrides.delete_override(**_writing(override))


def _writing(override: AgentOverride) -> dict[str, Any]:
    return {
        "organization_id": override.organization_id,
        "override_id": override.pk,
        "actor": PERSON,
        "user_id": SOMEBODY,
        "now": clock.now(),
    }


def reserve(execution: AgentExecution, *, output_tokens: int = 1000) -> None:
    """Hold what the first model call of the run can cost."""
    reservations.reserve(
        organization_id=execution.organization_id,
        agent_id=execution.agent_id,
        task_id=execution.task_id,
        execution_id=execution.pk,
        ordinal=1,
        provider="openai",
        model="gpt-4o-mini",
        input_tokens=1000,
        output_tokens=output_tokens,
        now=clock.now(),
    )
