"""Playing a run again: the loop as it is, over answers that are on record.

Nothing is asked of a provider, reserved or booked. Only workers import this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from agents.choices import StepKind
from agents.errors import AgentDisabled
from agents.models import AgentExecution, AgentVersion, ExecutionStep
from agents.operations import catalogue, effective, executions
from agents.operations.gates import RunGate
from agents.operations.journal import Background, ExecutionJournal
from agents.operations.recordings import Recording
from agents.runtime import engine, failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall, ModelTurn, ToolCall, ToolResult, Verdict
from agents.runtime.playback import Playback
from agents.runtime.spec import Message, RunResult, RunSpec
from agents.runtime.time_limit import TimeLimit
from agents.runtime.tools import Tool
from agents.runtime.toolset import wire_names
from kernel import loop
from kernel.redaction import Live

ASKS_AGAIN: Final = "it asks the model again, and no more answers are on record."


@dataclass(frozen=True, slots=True)
class Stage:
    """What is played, and the tools that the run has now."""

    recording: Recording
    tools: Sequence[Tool]

    def expect(self, step: int, call: ToolCall) -> None:
        """Raises RunStopped unless `call`, which would be written as `step`, can be as it was."""
        found = [tool for tool in self.tools if tool.name == call.tool]
        self.recording.expect(step, call, found[0] if found else None)


class ReplayGate(RunGate):
    """Nothing goes out: all that is needed is an answer on record, and an agent that may run."""

    def __init__(
        self, execution: AgentExecution, version: AgentVersion, recording: Recording
    ) -> None:
        super().__init__(execution, version)
        self._recording = recording

    async def enter(self, call: ModelCall, ordinal: int) -> None:
        """Raises RunStopped while the agent is disabled, and when no answer is left."""
        if call.ordinal > len(self._recording.answers):
            raise RunStopped(self._recording.missing(ordinal, ASKS_AGAIN))
        try:
            await loop.get().in_database(
                effective.configuration_of,
                version=self._version,
                agent_name=self._execution.agent_name,
            )
        except AgentDisabled as disabled:
            raise RunStopped(
                failures.agent_disabled(disabled.detail, override_id=disabled.override_id)
            ) from None


class ReplayJournal(ExecutionJournal):
    """As any run's, but that turns cost nothing, and that calls are as they were or end the run."""

    def __init__(
        self,
        execution: AgentExecution,
        gate: ReplayGate,
        background: Background,
        live: Live,
        stage: Stage,
    ) -> None:
        super().__init__(execution, gate, background, live)
        self._stage = stage

    async def model_answered(self, turn: ModelTurn) -> None:
        """Store the turn, as one that was paid for before."""
        self._show_text(self._live.flush())
        recorded = self._stage.recording.answers[turn.ordinal - 1]
        await self._store(record_played_turn, turn=turn, recorded=recorded)
        self._show("task.turn", ordinal=self._ordinal)

    async def tool_started(self, call: ToolCall) -> None:
        """Store the call, unless it cannot be as it was."""
        self._stage.expect(self._ordinal + 1, call)
        await super().tool_started(call)

    async def tool_asked(self, call: ToolCall) -> Verdict:
        """Ask people, as a run of today does."""
        self._stage.expect(self._ordinal + 1, call)
        return await super().tool_asked(call)

    async def tool_refused(self, call: ToolCall, result: ToolResult) -> None:
        """Store a call that was not made, unless it was made then."""
        self._stage.expect(self._ordinal + 1, call)
        await super().tool_refused(call, result)

    def to_come(self, spec: RunSpec) -> list[Message]:
        """The answers that are not in the log of `spec`."""
        played = sum(message["kind"] == "response" for message in spec.log)
        return self._stage.recording.to_come(played=played, wire=wire_names(spec.tools))

    def judge(self, result: RunResult) -> RunResult:
        """How the run ended, measured by what it plays."""
        return self._stage.recording.judged(result, step=self._ordinal)


async def play(
    spec: RunSpec, *, tools: Sequence[Tool], journal: ReplayJournal, time_limit: TimeLimit
) -> RunResult:
    """Run `spec` over the answers that its log does not have yet, and say how it ended."""
    answers = journal.to_come(spec)
    result = await engine.run(
        spec,
        providers=Playback(answers),
        tools=catalogue.TOOLS,
        own=tools,
        journal=journal,
        time_limit=time_limit,
    )
    return journal.judge(result)


@transaction.atomic
def record_played_turn(
    *,
    execution: AgentExecution,
    ordinal: int,
    turn: ModelTurn,
    recorded: ExecutionStep,
    now: datetime,
) -> ExecutionStep:
    """Journal an answer that was `recorded` before: no tokens, no cost, no row of the ledger.

    Raises RunWithoutLease once the run is closed.
    """
    executions.lock_running(execution)
    return ExecutionStep.objects.create(
        organization_id=execution.organization_id,
        execution=execution,
        ordinal=ordinal,
        kind=StepKind.MODEL_TURN,
        text=turn.text,
        message=turn.message,
        provider=recorded.provider,
        model=recorded.model,
        skipped_models=recorded.skipped_models,
        duration_ms=turn.duration_ms,
        created_at=now,
        updated_at=now,
    )
