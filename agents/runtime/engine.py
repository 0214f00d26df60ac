"""The loop: ask the model, make the calls it asks for, until it answers.

It drives pydantic-ai's models directly rather than through its Agent graph: the graph costs 2.6 ms
of CPU a turn beyond the model call, this loop 0.1 ms, and here the journal decides when the run
goes on, so that every turn and every tool result is on record before the next step.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from agents.runtime import failures, history, model_call, tool_calls
from agents.runtime.failures import RunStopped
from agents.runtime.journal import Journal, ModelTurn, ToolCall
from agents.runtime.provider_registry import Models
from agents.runtime.spec import FailureKind, RunFailure, RunResult, RunSpec, Usage
from agents.runtime.tools import ToolRegistry


async def run(
    spec: RunSpec, *, providers: Models, tools: ToolRegistry, journal: Journal
) -> RunResult:
    """Run `spec` to its end and say how it ended.

    Every failure of provider, tools or guardrails is a result. Raised are only what a journal
    callback raised, as it is, and CancelledError; connections are closed and tools stopped first.
    """
    started = time.monotonic()
    loop = _Loop(spec, providers, tools, journal)
    failure: RunFailure | None = None
    try:
        await loop.run()
    except RunStopped as stopped:
        failure = stopped.failure
    except _JournalBroke as broke:
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
        duration_ms=_elapsed_ms(started),
    )


class _JournalBroke(Exception):
    """Carries what a journal callback raised past the handlers for providers and tools."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Loop:
    def __init__(
        self, spec: RunSpec, providers: Models, tools: ToolRegistry, journal: Journal
    ) -> None:
        self._spec = spec
        self._providers = providers
        self._tools = tools
        self._journal = journal
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + spec.guardrails.timeout_seconds
        self._talk: history.Conversation | None = None
        self.output = ""

    @property
    def usage(self) -> Usage:
        return self._talk.usage if self._talk else Usage()

    @property
    def tool_calls(self) -> int:
        return self._talk.calls_made if self._talk else 0

    async def run(self) -> None:
        model = self._providers.model(self._spec.provider, self._spec.model)
        parameters = self._parameters()
        talk = self._talk = history.restore(self._spec)
        while not self._is_over(talk):
            self._check_guardrails(talk)
            await self._call_tools(talk)
            await self._ask(talk, model, parameters)
        self._check_guardrails(talk)

    def _is_over(self, talk: history.Conversation) -> bool:
        """Whether the last message is an answer that asks for nothing."""
        last = talk.messages[-1]
        if not isinstance(last, ModelResponse):
            return False
        self.output = history.text_of(last)
        self._check_answer(last)
        return not talk.calls

    def _check_guardrails(self, talk: history.Conversation) -> None:
        guardrails = self._spec.guardrails
        if talk.calls_made > guardrails.max_tool_calls:
            raise RunStopped(failures.too_many_tool_calls(guardrails))
        limit = guardrails.max_total_tokens
        if limit is not None and talk.usage.total_tokens > limit:
            raise RunStopped(failures.too_many_tokens(guardrails, talk.usage))

    async def _ask(
        self, talk: history.Conversation, model: Model[Any], parameters: ModelRequestParameters
    ) -> None:
        ordinal = talk.turns + 1
        await self._tell(self._journal.model_request_started(ordinal))
        started = time.monotonic()
        try:
            answer = await self._answer(talk, model, parameters)
        except RunStopped as stopped:
            await self._tell(self._journal.model_failed(stopped.failure))
            raise
        duration_ms = _elapsed_ms(started)
        answer = talk.add_answer(answer)
        await self._tell(self._journal.model_answered(self._turn(ordinal, answer, duration_ms)))

    async def _answer(
        self, talk: history.Conversation, model: Model[Any], parameters: ModelRequestParameters
    ) -> ModelResponse:
        try:
            async with asyncio.timeout_at(self._deadline):
                answer = await model_call.stream_answer(
                    model,
                    talk.for_model(),
                    settings=model_call.settings_for(
                        model,
                        temperature=self._spec.temperature,
                        max_tokens=self._spec.max_tokens,
                    ),
                    parameters=parameters,
                    max_tool_calls=self._spec.guardrails.max_tool_calls,
                    on_text=self._tell_text,
                )
        except _JournalBroke:
            raise
        except model_call.TooManyToolCalls:
            raise RunStopped(failures.too_many_tool_calls(self._spec.guardrails)) from None
        except Exception as error:
            self._raise_if_interrupted()
            raise RunStopped(
                failures.of_model_call(error, provider=self._spec.provider, model=self._spec.model)
            ) from error
        if answer.finish_reason is None:
            raise RunStopped(failures.cut_off(self._spec.provider))
        return answer

    def _check_answer(self, answer: ModelResponse) -> None:
        if answer.finish_reason == "content_filter":
            raise RunStopped(failures.filtered(self._spec.provider))
        if answer.finish_reason == "error":
            raise RunStopped(failures.bad_response(self._spec.provider))
        if not history.tool_calls(answer) and not history.text_of(answer).strip():
            at_limit = answer.finish_reason == "length"
            raise RunStopped(failures.empty_answer(self._spec.provider, at_limit=at_limit))

    async def _call_tools(self, talk: history.Conversation) -> None:
        outcomes = tool_calls.make_calls(
            talk.open_calls(),
            self._spec,
            self._tools,
            deadline=self._deadline,
            on_start=self._tell_start,
        )
        try:
            async with aclosing(outcomes):
                async for part, result in outcomes:
                    talk.add_result(part)
                    await self._tell(self._journal.tool_finished(result))
        except TimeoutError:
            raise RunStopped(failures.timed_out(self._spec.guardrails)) from None

    def _raise_if_interrupted(self) -> None:
        """SDKs may turn a cancellation into an error of theirs; the cause comes first."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        if self._clock() >= self._deadline:
            raise RunStopped(failures.timed_out(self._spec.guardrails))

    async def _tell(self, callback: Awaitable[None]) -> None:
        try:
            await callback
        except RunStopped:
            raise
        except Exception as error:
            raise _JournalBroke(error) from error

    async def _tell_text(self, text: str) -> None:
        await self._tell(self._journal.text_delta(text))

    async def _tell_start(self, call: ToolCall) -> None:
        await self._tell(self._journal.tool_started(call))

    def _turn(self, ordinal: int, answer: ModelResponse, duration_ms: int) -> ModelTurn:
        return ModelTurn(
            ordinal=ordinal,
            provider=self._spec.provider,
            model=answer.model_name or self._spec.model,
            text=history.text_of(answer),
            tool_calls=tuple(history.as_tool_call(part) for part in history.tool_calls(answer)),
            usage=history.usage_of(answer),
            finish_reason=answer.finish_reason or "",
            duration_ms=duration_ms,
            message=history.dump(answer),
        )

    def _parameters(self) -> ModelRequestParameters:
        names = list(dict.fromkeys(self._spec.tools))
        if missing := self._tools.missing(names):
            raise RunStopped(failures.unknown_tools(missing))
        return ModelRequestParameters(
            function_tools=[
                ToolDefinition(
                    name=tool.name,
                    description=tool.description,
                    parameters_json_schema=dict(tool.parameters),
                )
                for tool in map(self._tools.get, names)
            ]
        )


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
