"""The loop: ask the model, make the calls it asks for, until it answers.

It drives pydantic-ai's models directly rather than through its Agent graph: the graph costs 2.6 ms
of CPU a turn beyond the model call, this loop 0.1 ms, and here the journal decides when the run
goes on, so that every turn and every tool result is on record before the next step.
"""

import time
from collections.abc import Sequence
from contextlib import aclosing

from pydantic_ai.messages import ModelResponse, ToolCallPart

from agents.runtime import failures, history, provider_failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import GRANTED, Journal, Verdict
from agents.runtime.model_turns import JournalBroke, ModelTurns, tell
from agents.runtime.outputs import CORRECTIONS, OutputCheck
from agents.runtime.provider_registry import Models
from agents.runtime.spec import FailureKind, RunFailure, RunResult, RunSpec, Usage
from agents.runtime.time_limit import TimeLimit
from agents.runtime.tool_calls import Outcome, make_calls
from agents.runtime.tools import Tool, ToolRegistry, misfit
from agents.runtime.toolset import Toolset


async def run(
    spec: RunSpec,
    *,
    providers: Models,
    tools: ToolRegistry,
    journal: Journal,
    own: Sequence[Tool] = (),
    time_limit: TimeLimit | None = None,
) -> RunResult:
    """Run `spec` to its end and say how it ended; `own` are tools that only this run has, and its
    time begins here, in `time_limit` if given.

    Every failure of provider, tools or guardrails is a result. Raised are only what a journal
    callback raised, as it is, and CancelledError; connections are closed and tools stopped first.
    """
    started = time.monotonic()
    offered = Toolset(tools, spec.tools, own, spec.redact)
    loop = _Loop(spec, providers, offered, journal, time_limit or TimeLimit())
    failure: RunFailure | None = None
    try:
        await loop.run()
    except RunStopped as stopped:
        failure = stopped.failure
    except JournalBroke as broke:
        raise broke.error from broke.error.__cause__
    except Exception as error:  # noqa: BLE001 - a fault of ours must still end as a failed run
        failure = failures.internal(error)
    is_timeout = failure is not None and failure.kind is FailureKind.TIMEOUT
    return RunResult(
        status="timeout" if is_timeout else "error" if failure else "success",
        output=loop.output,
        error=failure,
        usage=loop.usage,
        tool_calls=loop.tool_calls,
        duration_ms=round((time.monotonic() - started) * 1000),
    )


class _Loop:
    def __init__(
        self,
        spec: RunSpec,
        providers: Models,
        tools: Toolset,
        journal: Journal,
        time_limit: TimeLimit,
    ) -> None:
        self._spec = spec
        self._tools = tools
        self._journal = journal
        time_limit.begin(spec.guardrails.timeout_seconds)
        self._time_limit = time_limit
        self._check = OutputCheck(spec.output_schema)
        self._model = ModelTurns(
            spec, providers, tools, journal, self._check, time_limit=time_limit
        )
        self._talk: history.Conversation | None = None
        self.output = ""

    @property
    def usage(self) -> Usage:
        return self._talk.usage if self._talk else Usage()

    @property
    def tool_calls(self) -> int:
        return self._talk.calls_made if self._talk else 0

    async def run(self) -> None:
        if self._tools.missing:
            raise RunStopped(failures.unknown_tools(self._tools.missing))
        talk = self._talk = history.restore(self._spec, self._check.wrong)
        while not self._is_over(talk):
            self._check_guardrails(talk)
            await self._call_tools(talk)
            await self._model.ask(talk)
        self._check_guardrails(talk)

    def _is_over(self, talk: history.Conversation) -> bool:
        """Whether the last message is an answer that asks for nothing, and fits."""
        last = talk.messages[-1]
        if not isinstance(last, ModelResponse):
            return False
        self.output = history.text_of(last)
        self._check_answer(last)
        if talk.calls:
            return False
        if wrong := self._check.wrong(self.output):
            if talk.corrections >= CORRECTIONS:
                raise RunStopped(failures.wrong_output(wrong, CORRECTIONS + 1))
            talk.correct(wrong)
            return False
        self.output = self._check.text(self.output)
        return True

    def _check_guardrails(self, talk: history.Conversation) -> None:
        guardrails = self._spec.guardrails
        if talk.calls_made > guardrails.max_tool_calls:
            raise RunStopped(failures.too_many_tool_calls(guardrails, talk.calls_made))
        limit = guardrails.max_total_tokens
        if limit is not None and talk.usage.total_tokens > limit:
            raise RunStopped(failures.too_many_tokens(guardrails, talk.usage))

    def _check_answer(self, answer: ModelResponse) -> None:
        provider = self._model.provider
        if answer.finish_reason == "content_filter":
            raise RunStopped(provider_failures.filtered(provider))
        if answer.finish_reason == "error":
            raise RunStopped(provider_failures.bad_response(provider))
        if not history.tool_calls(answer) and not history.text_of(answer).strip():
            at_limit = answer.finish_reason == "length"
            raise RunStopped(provider_failures.empty_answer(provider, at_limit=at_limit))

    async def _call_tools(self, talk: history.Conversation) -> None:
        outcomes = make_calls(
            talk.open_calls(),
            self._tools,
            self._spec.context,
            time_limit=self._time_limit,
            begin=self._begin,
        )
        try:
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    talk.add_result(outcome.part)
                    await tell(self._end(talk, outcome))
        except TimeoutError:
            raise RunStopped(failures.timed_out(self._spec.guardrails)) from None

    async def _begin(self, part: ToolCallPart) -> Verdict:
        """Whether the call may be made; what may is on record as started."""
        call = history.as_tool_call(part, self._tools.name_of(part.tool_name))
        tool = self._tools.find(call.tool)
        if tool is None or not (tool.needs_approval or tool.refusal):
            await tell(self._journal.tool_started(call))
            return GRANTED
        # Nobody is asked about a call that could not be made anyway.
        if reason := tool.refusal or _unmakeable(tool, part):
            return Verdict(refusal=reason)
        return await tell(self._journal.tool_asked(call))

    async def _end(self, talk: history.Conversation, outcome: Outcome) -> None:
        if not outcome.is_refused:
            await self._journal.tool_finished(outcome.result)
            return
        (part,) = [c for c in talk.calls if c.tool_call_id == outcome.result.id]
        call = history.as_tool_call(part, outcome.result.tool)
        await self._journal.tool_refused(call, outcome.result)


def _unmakeable(tool: Tool, part: ToolCallPart) -> str:
    arguments = history.arguments_of(part)
    return history.NO_OBJECT if arguments is None else misfit(tool, arguments)
