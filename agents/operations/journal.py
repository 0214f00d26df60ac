"""The runtime's journal, kept in the database and shown live to whoever watches the task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from agents.models import AgentExecution, ExecutionStep
from agents.operations import call_approvals, executions, model_turns
from agents.operations.call_approvals import Asked, Question
from agents.operations.gates import RunGate
from agents.runtime.journal import ModelCall, ModelTurn, ToolCall, ToolResult, Verdict
from agents.runtime.spec import RunFailure
from events import operations as events
from kernel import clock, loop
from kernel.redaction import Live

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Background:
    """What the journal has to know of a run: the first of those it goes on from (or itself), the
    calls of theirs that may be made again, and by tool by whose rule calls are approved, and what
    definition of it the run goes by."""

    root_id: UUID
    repeats: frozenset[str] = frozenset()
    rules: Mapping[str, UUID | None] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)


class ExecutionJournal:
    """Every step is committed before the run goes on."""

    def __init__(
        self, execution: AgentExecution, gate: RunGate, background: Background, live: Live
    ) -> None:
        self._execution = execution
        self._gate = gate
        self._background = background
        self._live = live
        self._ordinal = 0
        self._open: dict[str, UUID] = {}

    async def model_request_started(self, call: ModelCall) -> None:
        """Ask whether the call may go out."""
        await self._gate.enter(call, self._ordinal + 1)

    async def model_failed(self, failure: RunFailure) -> None:
        """Tell the provider's breaker what went wrong, and settle what was reserved."""
        self._live.flush()
        await self._gate.failed(failure)

    async def text_delta(self, text: str) -> None:
        """Send the next piece of the answer to whoever watches, once no secret can be in it."""
        self._show_text(self._live.push(text))

    async def model_answered(self, turn: ModelTurn) -> None:
        """Store the turn and book its tokens; who watches is told that it can be read."""
        self._show_text(self._live.flush())
        try:
            await self._store(model_turns.record_turn, turn=turn)
        finally:  # a provider that answered has done so, whatever became of the run
            self._gate.answered(turn.usage.total_tokens)
        self._show("task.turn", ordinal=self._ordinal)

    async def tool_started(self, call: ToolCall) -> None:
        """Store the call before it is made."""
        step: ExecutionStep = await self._store(executions.record_tool_call, call=call)
        self._begun(call, step)

    async def tool_asked(self, call: ToolCall) -> Verdict:
        """Ask people, or use what they said; a call that is granted is stored with that."""
        question = Question(
            execution=self._execution,
            root_id=self._background.root_id,
            call=call,
            rule_id=self._background.rules.get(call.tool),
            definition=self._background.definitions.get(call.tool, ""),
            is_repeat=call.id in self._background.repeats,
        )
        asked: Asked = await loop.get().in_database(
            call_approvals.ask, question=question, ordinal=self._ordinal + 1, now=clock.now()
        )
        if asked.step is not None:
            self._ordinal += 1
            self._begun(call, asked.step)
        return asked.verdict

    async def tool_refused(self, call: ToolCall, result: ToolResult) -> None:
        """Store a call that was not made, and why."""
        await self._store(executions.record_refusal, call=call, result=result)
        self._show("task.tool_call", tool=call.tool, id=call.id, arguments=dict(call.arguments))
        self._show("task.tool_result", tool=call.tool, id=call.id, error=result.error)

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
        self._show("task.tool_result", tool=result.tool, id=result.id, **shown)

    def _show_text(self, text: str) -> None:
        # What an agent says that was called is no part of the task's answer.
        if text and self._execution.parent_id is None:
            self._show("task.output", text=text, ordinal=self._ordinal + 1)

    def _begun(self, call: ToolCall, step: ExecutionStep) -> None:
        self._open[call.id] = step.pk
        self._show("task.tool_call", tool=call.tool, id=call.id, arguments=dict(call.arguments))

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
