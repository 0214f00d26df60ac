"""Driving one run: the runtime does the loop, the journal writes and shows it.

Only workers import this module: with it come the model libraries, most of a second of CPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from math import inf
from typing import Any
from uuid import UUID

from agents.choices import ExecutionSource
from agents.errors import AgentDisabled
from agents.models import AgentExecution, AgentVersion, ExecutionStep
from agents.operations import (
    catalogue,
    conversation,
    effective,
    executions,
    playing,
    recordings,
    resumption,
    run_tools,
)
from agents.operations.agent_calls import AgentCalls
from agents.operations.effective import Configuration
from agents.operations.gates import RunGate, TokenMeter
from agents.operations.journal import Background, ExecutionJournal
from agents.operations.llm_settings import key_setting
from agents.operations.playing import ReplayGate, ReplayJournal, Stage
from agents.operations.recordings import Recording
from agents.operations.resumption import Past
from agents.operations.run_tools import AskAgent, RunTools
from agents.runtime import engine, failures
from agents.runtime.history import failed_call
from agents.runtime.outputs import ANY_OBJECT
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
from agents.runtime.time_limit import TimeLimit
from agents.runtime.toolset import wire_names
from kernel import clock, loop, redaction
from kernel.redaction import Live, Redactor
from preferences.errors import SecretUnreadable
from preferences.selectors import values


async def run(
    *, execution: AgentExecution, version: AgentVersion, deadline: datetime | None = None
) -> RunResult:
    """Run `execution` to its end on the process's event loop, at most until `deadline`.

    One that was cut off goes on after its last step on record; if a call's outcome is unknown and
    its tool is not idempotent, nothing is run and the result says so. Every step is committed
    before the run goes on. Raises RunWithoutLease when the execution was closed by somebody else.
    """
    return await _run(execution, version, _Bounds(deadline=deadline))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """What a run gets from outside: until when, and from its caller its time, which ends the runs
    below it, the meter of tokens and that it may not call other services."""

    deadline: datetime | None = None
    time_limit: TimeLimit | None = None
    meter: TokenMeter | None = None
    is_inside: bool = False


async def _run(execution: AgentExecution, version: AgentVersion, bounds: _Bounds) -> RunResult:
    meter = TokenMeter(execution.agent_name, bounds.meter)
    time_limit = TimeLimit(bounds.time_limit, most=_until(bounds.deadline))

    async def run_child(child: AgentExecution) -> RunResult:
        return await _run(child, child.version, below)

    ask = AgentCalls(execution, run_child, time_limit).ask
    try:
        found = await loop.get().in_database(
            _prepare, execution, version, ask, is_inside=bounds.is_inside
        )
        below = _Bounds(time_limit=time_limit, meter=meter, is_inside=found.tools.is_inside)
    except SecretUnreadable as error:
        return _failed(
            RunFailure(
                kind=FailureKind.PROVIDER_NOT_CONFIGURED, message=error.detail, retryable=False
            )
        )
    except AgentDisabled as error:
        return _failed(failures.agent_disabled(error.detail, override_id=error.override_id))
    if found.past is not None and found.past.unknown:
        return _failed(_outcome_unknown(found.past))
    spec = _spec_of(
        execution, found, min(found.configuration.timeout_seconds, _until(bounds.deadline))
    )
    if found.recording is not None:
        return await playing.play(
            spec,
            tools=found.tools.tools,
            journal=_replay_journal(execution, version, found, found.recording),
            time_limit=time_limit,
        )
    used = found.past.tokens if found.past else 0
    meter.begin(
        limit=found.configuration.max_total_tokens,
        used=used,
        is_overridden="max_total_tokens" in found.configuration.overridden,
    )
    gate = RunGate(execution, version, meter, left=time_limit.left)
    try:
        return await engine.run(
            spec,
            providers=model_registry().with_keys(found.keys),
            tools=catalogue.TOOLS,
            own=found.tools.tools,
            journal=ExecutionJournal(
                execution, gate, _background(execution, found), Live(found.redactor)
            ),
            time_limit=time_limit,
        )
    finally:
        await gate.close()


def _replay_journal(
    execution: AgentExecution,
    version: AgentVersion,
    found: "_Preparation",
    recording: Recording,
) -> ReplayJournal:
    return ReplayJournal(
        execution,
        ReplayGate(execution, version, recording),
        _background(execution, found),
        Live(found.redactor),
        Stage(recording, found.tools.tools),
    )


@dataclass(frozen=True, slots=True)
class _Preparation:
    """What a run goes by: `models` are its own and those to fall back on, `keys` the
    organization's own by provider, `past` what it goes on from, `history` what was said before,
    `redactor` what takes secrets out of what it says, and `recording` what it plays again."""

    configuration: Configuration
    models: tuple[tuple[str, str], ...]
    tools: RunTools
    past: Past | None
    history: tuple[Message, ...]
    redactor: Redactor
    keys: Mapping[str, str] = field(repr=False)
    recording: Recording | None = None


def _prepare(
    execution: AgentExecution, version: AgentVersion, ask: AskAgent, *, is_inside: bool
) -> _Preparation:
    """As everything stands now: what was changed needs no restart, only the next run.

    Raises AgentDisabled and SecretUnreadable.
    """
    recording = None
    if execution.source == ExecutionSource.REPLAY:
        recording = recordings.read(execution=execution)
    configuration = effective.configuration_of(version=version, agent_name=execution.agent_name)
    models, keys = _models_of(execution, configuration, recording)
    # What only plays its record calls nothing, and is measured by the version that it names.
    is_played = recording is not None and not recording.is_live
    newer = None if is_played else run_tools.newer_version(version)
    tools = run_tools.read_tools(
        version=version,
        names=configuration.tools,
        agent_name=execution.agent_name,
        newer=newer,
        user_id=recording.user_id if recording else execution.user_id,
        author_ids=recording.author_ids if recording else execution.author_ids,
        ask=ask,
        is_inside=is_inside,
    )
    if tools.left_out:
        executions.note_left_out(execution=execution, left_out=tools.left_out)
    if recording is not None:
        tools = recording.tools(tools)
    past = None
    if execution.resumed_from_id is not None:
        past = resumption.read_past(execution=execution, may_repeat=tools.may_repeat)
    history = conversation.history_of(execution)
    redactor = redaction.load(execution.organization_id)
    return _Preparation(
        configuration, models, tools, past, history, redactor, keys, recording=recording
    )


def _models_of(
    execution: AgentExecution, configuration: Configuration, recording: Recording | None
) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """What is asked, and under whose keys; what is played again asks nobody."""
    if recording is not None:
        return ((recording.provider, ""),), {}
    asked = [(configuration.provider, configuration.model), *configuration.fallback_models]
    return _reach(execution.organization_id, asked)


def _reach(
    organization_id: UUID, asked: list[tuple[str, str]]
) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """The models by name, and the keys that the organization has of its own."""
    if all(provider == DEMO for provider, _ in asked):
        return tuple((DEMO, model or default_model(DEMO)) for _, model in asked), {}
    settings = values.read(organization_id=organization_id)
    keys: dict[str, str] = {}
    for provider in {provider for provider, _ in asked} - {DEMO}:
        if not settings.is_default(key_setting(provider)):
            model_registry().load(provider)
            keys[provider] = settings[key_setting(provider)]
    models = tuple(
        (provider, catalogue.model_for(provider, model, settings)) for provider, model in asked
    )
    return models, keys


@cache
def model_registry() -> ProviderRegistry:
    """The process's clients and models. The first call imports the SDKs: make it at start."""
    return ProviderRegistry(catalogue.providers())


def _spec_of(execution: AgentExecution, found: _Preparation, seconds: float) -> RunSpec:
    """The runtime's view of the run, with `seconds` to go."""
    configuration, (first, *fallbacks) = found.configuration, found.models
    steps = found.past.steps if found.past else ()
    wire = wire_names(found.tools.names)
    return RunSpec(
        run_id=execution.pk,
        agent_name=execution.agent_name,
        provider=first[0],
        model=first[1],
        fallbacks=tuple(fallbacks),
        system_prompt=configuration.system_prompt,
        temperature=configuration.temperature,
        max_tokens=configuration.max_tokens,
        tools=found.tools.names,
        prompt=execution.input,
        output_schema=_output_schema(execution, configuration),
        guardrails=Guardrails(
            max_tool_calls=configuration.max_tool_calls,
            timeout_seconds=seconds,
            max_total_tokens=configuration.max_total_tokens,
            overridden=_overridden(configuration, seconds),
        ),
        context=ToolContext(
            organization_id=execution.organization_id,
            agent_id=execution.agent_id,
            task_id=execution.task_id,
            run_id=execution.pk,
        ),
        history=found.history,
        log=tuple(_message(step, wire) for step in steps),
        redact=found.redactor.redact,
    )


def _overridden(configuration: Configuration, seconds: float) -> frozenset[str]:
    """Limits of the run that an override set; a deadline may leave it less time than that."""
    is_shorter = seconds < configuration.timeout_seconds
    return configuration.overridden - ({"timeout_seconds"} if is_shorter else set())


def _output_schema(
    execution: AgentExecution, configuration: Configuration
) -> Mapping[str, Any] | None:
    if execution.output_schema is not None:
        asked: Mapping[str, Any] = execution.output_schema
        return asked
    return ANY_OBJECT if configuration.response_format == "json" else None


def _background(execution: AgentExecution, found: _Preparation) -> Background:
    root_id, repeats = execution.pk, frozenset[str]()
    if found.past is not None:
        root_id, repeats = found.past.root_id, found.past.repeats
    return Background(root_id, repeats, found.tools.rules, found.tools.definitions)


def _message(step: ExecutionStep, wire: Mapping[str, str]) -> Message:
    if step.message is None:
        # Closed by a person, in a process that has no model library to write it with.
        tool = wire.get(step.tool, step.tool)
        return failed_call(call_id=step.call_id, tool=tool, error=step.error)
    message: Message = step.message
    return message


def _outcome_unknown(past: Past) -> RunFailure:
    tools = ", ".join(sorted({step.tool for step in past.unknown}))
    return RunFailure(
        kind=FailureKind.TOOL_OUTCOME_UNKNOWN,
        message=(
            f"The worker stopped while it called {tools}: nobody knows whether the call took"
            " effect, and it is not safe to repeat. Find out, then set the task to in_progress"
            " to let the agent go on, or complete, fail or cancel it."
        ),
        retryable=False,
    )


def _failed(failure: RunFailure) -> RunResult:
    return RunResult(
        status="error", output="", error=failure, usage=Usage(), tool_calls=0, duration_ms=0
    )


def _until(deadline: datetime | None) -> float:
    return inf if deadline is None else max(0.0, (deadline - clock.now()).total_seconds())
