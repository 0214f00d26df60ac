"""What is on record of a run that is played again, and where playing it departs from that.

Only workers import this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from agents import selectors
from agents.choices import AGENT_TOOL, ReplayTools, StepKind, StepStatus
from agents.models import AgentExecution, ExecutionStep
from agents.operations import resumption, run_tools
from agents.operations.run_tools import RunTools
from agents.runtime.failures import RunStopped
from agents.runtime.history import NO_OBJECT
from agents.runtime.journal import ToolCall
from agents.runtime.providers import DEMO, PROVIDERS
from agents.runtime.spec import (
    HELD,
    FailureKind,
    Message,
    RunFailure,
    RunResult,
    ToolContext,
)
from agents.runtime.tool_calls import NO_TOOL
from agents.runtime.tools import MISFIT, WHOLE_LIMIT_BYTES, Tool, ToolFailed, misfit
from kernel import loop

# Why the loop itself ends a run: a run that goes on from there is another one.
GUARDED: Final = frozenset(
    {
        FailureKind.GUARDRAIL_TOOL_CALLS,
        FailureKind.GUARDRAIL_TOKENS,
        FailureKind.GUARDRAIL_OUTPUT,
    }
)
# Ends of a replay that are said already, or that its recording has no part in.
AS_THEY_ARE: Final = frozenset(
    {FailureKind.REPLAY_DIVERGED, FailureKind.RECORDING_ENDED, FailureKind.INTERNAL}
)
DEPARTED: Final = "The replay departs from execution {} at step {}: {}"
RAN_OUT: Final = (
    "The recording of execution {} ends before step {}: the run itself ended there ({})."
)


@dataclass(frozen=True, slots=True)
class Recording:
    """A run that is over, with those that it went on from.

    `answers` are the model's in order, `calls` all calls by their id, an outcome before none;
    their results are read when they are answered.
    `is_live`: tools are called again; agents, which would ask a provider, never are.
    """

    origin: AgentExecution
    asked_by: UUID | None
    asked_with: Sequence[UUID]
    is_live: bool
    answers: tuple[ExecutionStep, ...]
    calls: Mapping[str, ExecutionStep]

    @property
    def user_id(self) -> UUID | None:
        """By whose roles tools are offered: if none is called, by those of whoever asked then."""
        return self.asked_by if self.is_live else self.origin.user_id

    @property
    def author_ids(self) -> Sequence[UUID]:
        """Who else must hold these roles."""
        return self.asked_with if self.is_live else self.origin.author_ids

    @property
    def provider(self) -> str:
        """Whose answers these are."""
        name = self.answers[0].provider
        return name if name in PROVIDERS else DEMO

    def to_come(self, *, played: int, wire: Mapping[str, str]) -> list[Message]:
        """The answers after those that were played, their calls under the names that the tools
        have now (`wire`)."""
        return [self._renamed(step.message or {}, wire) for step in self.answers[played:]]

    def tools(self, offered: RunTools) -> RunTools:
        """`offered`, answering from the record where nothing is called."""
        return replace(offered, tools=tuple(self._tool(tool) for tool in offered.tools))

    def departure(self, call: ToolCall, tool: Tool | None) -> str:
        """How `call` cannot be as it was, as the end of a sentence; empty if it can.

        `tool` is the one that would be called, None if the run does not have it.
        """
        recorded = self._outcome(call.id)
        then = _unmade(recorded)
        if tool is None:
            return "" if then else f"it has no tool {call.tool} any more, which was called."
        if self.is_live and not _is_agent(tool):
            return ""
        if recorded is None:
            return f"it calls {call.tool}, and nothing is on record of that call's outcome."
        if recorded.error == NO_OBJECT:
            return ""  # whatever the tool is, it was sent no arguments
        now = tool.refusal or misfit(tool, call.arguments)
        if now and not then:
            return f"the call of {call.tool} was made, and is refused now. {now}"
        if then and not now:
            return f"the call of {call.tool} was refused, and would be made now. {then}"
        return ""

    def departed(self, step: int, how: str) -> RunFailure:
        """The end of a replay that left its recording at `step`."""
        return RunFailure(
            kind=FailureKind.REPLAY_DIVERGED,
            message=DEPARTED.format(self.origin.pk, step, how),
            retryable=False,
        )

    def missing(self, step: int, how: str) -> RunFailure:
        """The end of one that needs at `step` what is not on record: because the run itself was cut
        off there, or because the replay goes on where the run came to its end."""
        why = self.origin.error_kind
        if not why or why in GUARDED:
            return self.departed(step, how)
        return RunFailure(
            kind=FailureKind.RECORDING_ENDED,
            message=RAN_OUT.format(self.origin.pk, step, why),
            retryable=False,
        )

    def expect(self, step: int, call: ToolCall, tool: Tool | None) -> None:
        """Raises RunStopped unless `call`, which would be written as `step`, can be as it was."""
        how = self.departure(call, tool)
        if not how:
            return
        is_missing = tool is not None and self._outcome(call.id) is None
        raise RunStopped(self.missing(step, how) if is_missing else self.departed(step, how))

    def judged(self, result: RunResult, *, step: int) -> RunResult:
        """How the replay ended, whose last step is `step`, measured by its recording. Nothing of it
        is worth another try: it would end in the same way."""
        failure, left = result.error, len(self.answers) - result.usage.requests
        if failure is None:
            how = f"it ends there, and {left} of the answers on record are left."
            return _failed(result, self.departed(step, how)) if left else result
        if failure.kind in HELD:
            return result
        is_end = not left and failure.kind == self.origin.error_kind
        if is_end or failure.kind in AS_THEY_ARE:
            return _failed(result, replace(failure, retryable=False))
        return _failed(result, self.departed(step, failure.message))

    def _outcome(self, call_id: str) -> ExecutionStep | None:
        found = self.calls.get(call_id)
        return None if found is None or found.status == StepStatus.STARTED else found

    def _renamed(self, message: Mapping[str, Any], wire: Mapping[str, str]) -> Message:
        def renamed(part: Mapping[str, Any]) -> Mapping[str, Any]:
            call = self.calls.get(part.get("tool_call_id", ""))
            if call is None or call.tool not in wire:
                return part
            return {**part, "tool_name": wire[call.tool]}

        return {**message, "parts": [renamed(part) for part in message.get("parts", [])]}

    def _tool(self, tool: Tool) -> Tool:
        if self.is_live and not _is_agent(tool):
            return tool
        return replace(
            tool,
            call=self._answer,
            needs_approval=False,
            idempotent=True,
            output_limit_bytes=WHOLE_LIMIT_BYTES,
        )

    async def _answer(self, context: ToolContext, _arguments: Mapping[str, Any]) -> Any:
        step = self.calls[context.call_id]
        if step.status == StepStatus.FAILED:
            raise ToolFailed(step.error)
        return await loop.get().in_database(_result_of, step)


def read(*, execution: AgentExecution) -> Recording:
    """What `execution`, a run of a replay, plays."""
    replay = selectors.get_replay(execution=execution)
    steps = resumption.recorded_steps(execution=replay.origin, without=("message", "result"))
    answers = [step for step in steps if step.kind == StepKind.MODEL_TURN]
    wanted = ExecutionStep.objects.filter(pk__in=[step.pk for step in answers])
    messages = dict(wanted.values_list("pk", "message"))
    for step in answers:
        step.message = messages[step.pk]
    calls: dict[str, ExecutionStep] = {}
    for step in steps:
        # One that was cut off was made again by a later attempt, under the same id.
        if step.kind == StepKind.TOOL_CALL and (
            step.call_id not in calls or step.status != StepStatus.STARTED
        ):
            calls[step.call_id] = step
    return Recording(
        origin=replay.origin,
        asked_by=execution.user_id,
        asked_with=execution.author_ids,
        is_live=replay.tools == ReplayTools.LIVE,
        answers=tuple(answers),
        calls=calls,
    )


def _result_of(step: ExecutionStep) -> Any:
    # Not kept in `step`, which lives as long as the replay.
    return ExecutionStep.objects.values_list("result", flat=True).get(pk=step.pk)


def _is_agent(tool: Tool) -> bool:
    return tool.name.startswith(AGENT_TOOL)


def _unmade(step: ExecutionStep | None) -> str:
    """Why the call was not made, if the hub saw to that by itself."""
    if step is None or step.status != StepStatus.FAILED:
        return ""
    policies = (run_tools.READ_ONLY, run_tools.INSIDE)
    sentences = {policy.format(step.tool) for policy in policies}
    sentences.add(run_tools.NO_AGENT.format(step.tool.removeprefix(AGENT_TOOL)))
    is_unmade = step.error in sentences or step.error.startswith((NO_TOOL, MISFIT))
    return step.error if is_unmade else ""


def _failed(result: RunResult, failure: RunFailure) -> RunResult:
    is_timeout = failure.kind is FailureKind.TIMEOUT
    return replace(result, status="timeout" if is_timeout else "error", error=failure)
