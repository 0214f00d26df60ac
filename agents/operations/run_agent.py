"""Driving one run: the runtime does the loop, this writes its journal and sends it live.

Only workers import this module: with it come the model libraries, most of a second of CPU.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import structlog

from agents.models import AgentExecution, AgentVersion, ExecutionStep
from agents.operations import catalogue, executions, resumption
from agents.operations.gates import ProviderGate
from agents.operations.llm_settings import key_setting
from agents.runtime import engine, history
from agents.runtime.journal import ModelTurn, ToolCall, ToolResult
from agents.runtime.provider_registry import ProviderRegistry
from agents.runtime.providers import DEMO, default_model
from agents.runtime.spec import (
    FailureKind,
    Guardrails,
    Message,
    RunFailure,
    RunResult,
    RunSpec,
    ToolContext,
    Usage,
)
from events import operations as events
from kernel import clock, loop
from preferences.errors import SecretUnreadable
from preferences.selectors import values

log = structlog.get_logger(__name__)


async def run(
    *, execution: AgentExecution, version: AgentVersion, deadline: datetime | None = None
) -> RunResult:
    """Run `execution` to its end on the process's event loop, at most until `deadline`.

    One that was cut off goes on after its last step on record; if a call's outcome is unknown and
    its tool is not idempotent, nothing is run and the result says so. Every step is committed
    before the run goes on. Raises RunWithoutLease when the execution was closed by somebody else.
    """
    try:
        access = await _access(execution.organization_id, version)
    except SecretUnreadable as error:
        return _failed(FailureKind.PROVIDER_NOT_CONFIGURED, error.detail)
    spec = spec_of(
        execution=execution,
        version=version,
        model=access.model,
        seconds=_seconds(version, deadline),
    )
    if execution.resumed_from_id is not None:
        past = await loop.get().in_database(resumption.read_past, execution=execution)
        if past.unknown:
            return _outcome_unknown(past)
        spec = replace(spec, log=tuple(_message(step) for step in past.steps))
    gate = ProviderGate(execution.organization_id, version.llm_provider)
    try:
        return await engine.run(
            spec,
            providers=model_registry().with_key(access.api_key),
            tools=catalogue.TOOLS,
            journal=ExecutionJournal(execution, gate),
        )
    finally:
        await gate.close()


@dataclass(frozen=True, slots=True)
class _Access:
    """How a run reaches its model; an empty key is the hub's own."""

    model: str
    api_key: str = field(default="", repr=False)


async def _access(organization_id: UUID, version: AgentVersion) -> _Access:
    """As the organization's settings stand now: a new key needs no restart, only the next run."""
    if version.llm_provider == DEMO:
        return _Access(version.llm_model or default_model(DEMO))
    return await loop.get().in_database(_read_access, organization_id, version)


def _read_access(organization_id: UUID, version: AgentVersion) -> _Access:
    provider = version.llm_provider
    settings = values.read(organization_id=organization_id)
    model = catalogue.model_for(provider, version.llm_model, settings)
    if settings.is_default(key_setting(provider)):
        return _Access(model)
    model_registry().load(provider)
    return _Access(model, settings[key_setting(provider)])


@cache
def model_registry() -> ProviderRegistry:
    """The process's clients and models. The first call imports the SDKs: make it at start."""
    return ProviderRegistry(catalogue.providers())


def spec_of(
    *, execution: AgentExecution, version: AgentVersion, model: str, seconds: float
) -> RunSpec:
    """The runtime's view of a version and a prompt, with `seconds` to run."""
    return RunSpec(
        run_id=execution.pk,
        agent_name=execution.agent_name,
        provider=version.llm_provider,
        model=model,
        system_prompt=version.system_prompt,
        temperature=version.temperature,
        max_tokens=version.max_tokens,
        tools=version.usable_tools,
        prompt=execution.input,
        guardrails=Guardrails(
            max_tool_calls=version.max_tool_calls,
            timeout_seconds=seconds,
            max_total_tokens=version.max_tokens_per_task or None,
        ),
        context=ToolContext(
            organization_id=execution.organization_id,
            agent_id=execution.agent_id,
            task_id=execution.task_id,
            run_id=execution.pk,
        ),
    )


def _message(step: ExecutionStep) -> Message:
    if step.message is None:
        # Closed by a person, in a process that has no model library to write it with.
        return history.failed_call(call_id=step.call_id, tool=step.tool, error=step.error)
    message: Message = step.message
    return message


def _outcome_unknown(past: resumption.Past) -> RunResult:
    tools = ", ".join(sorted({step.tool for step in past.unknown}))
    return _failed(
        FailureKind.TOOL_OUTCOME_UNKNOWN,
        f"The worker stopped while it called {tools}: nobody knows whether the call took"
        " effect, and it is not safe to repeat. Find out, then set the task to in_progress"
        " to let the agent go on, or complete, fail or cancel it.",
    )


def _failed(kind: FailureKind, message: str) -> RunResult:
    return RunResult(
        status="error",
        output="",
        error=RunFailure(kind=kind, message=message, retryable=False),
        usage=Usage(),
        tool_calls=0,
        duration_ms=0,
    )


def _seconds(version: AgentVersion, deadline: datetime | None) -> float:
    limit = float(version.timeout_seconds)
    if deadline is None:
        return limit
    return max(0.0, min(limit, (deadline - clock.now()).total_seconds()))


class ExecutionJournal:
    """The runtime's journal, kept in the database and shown live to whoever watches the task."""

    def __init__(self, execution: AgentExecution, gate: ProviderGate) -> None:
        self._execution = execution
        self._gate = gate
        self._ordinal = 0
        self._open: dict[str, UUID] = {}

    async def model_request_started(self, ordinal: int) -> None:
        """Ask whether the provider may be called."""
        await self._gate.enter()

    async def model_failed(self, failure: RunFailure) -> None:
        """Tell the provider's breaker what went wrong."""
        await self._gate.failed(failure.kind)

    async def text_delta(self, text: str) -> None:
        """Send the next piece of the answer to whoever watches."""
        self._show("task.output", text=text, ordinal=self._ordinal + 1)

    async def model_answered(self, turn: ModelTurn) -> None:
        """Store the turn and book its tokens; who watches is told that it can be read."""
        await self._gate.answered()
        await self._store(executions.record_turn, turn=turn)
        self._show("task.turn", ordinal=self._ordinal)

    async def tool_started(self, call: ToolCall) -> None:
        """Store the call before it is made."""
        step: ExecutionStep = await self._store(executions.record_tool_call, call=call)
        self._open[call.id] = step.pk
        self._show("task.tool_call", tool=call.tool, arguments=dict(call.arguments))

    async def tool_finished(self, result: ToolResult) -> None:
        """Store the outcome on the call's own step."""
        await loop.get().in_database(
            executions.record_tool_result,
            execution=self._execution,
            step_id=self._open.pop(result.id),
            result=result,
            now=clock.now(),
        )
        shown = {"error": result.error} if result.error else {"result": result.result}
        self._show("task.tool_result", tool=result.tool, **shown)

    async def _store(self, operation: Any, **what: Any) -> Any:
        self._ordinal += 1
        return await loop.get().in_database(
            operation,
            execution=self._execution,
            ordinal=self._ordinal,
            now=clock.now(),
            **what,
        )

    def _show(self, type: str, **data: Any) -> None:  # noqa: A002 - the wire's word
        shown = {
            "task_id": str(self._execution.task_id),
            "execution_id": str(self._execution.pk),
            **data,
        }
        try:
            events.stream(organization_id=self._execution.organization_id, type=type, data=shown)
        except TypeError:
            # What JSON cannot carry is on record; that nobody sees it live ends no run.
            log.warning("agents.run.not_shown", type=type)
