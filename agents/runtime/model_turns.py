"""One turn of the model: asked, and if one cannot answer, the next one is."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters

from agents.runtime import failures, history, model_call, provider_failures
from agents.runtime.billing import is_unbilled
from agents.runtime.failures import RunStopped
from agents.runtime.journal import Journal, ModelCall, ModelTurn, SkippedModel
from agents.runtime.outputs import OutputCheck
from agents.runtime.provider_registry import Models
from agents.runtime.spec import FailureKind, RunFailure, RunSpec
from agents.runtime.time_limit import TimeLimit
from agents.runtime.toolset import Toolset, size_of

T = TypeVar("T")
# More than any model writes; used where nobody set a limit.
MOST_OUTPUT_TOKENS: Final = 128_000
# Another model may well answer.
FALL_BACK: Final = frozenset(
    {
        FailureKind.BREAKER_OPEN,
        FailureKind.RATE_LIMIT,
        FailureKind.PROVIDER_UNAVAILABLE,
        FailureKind.PROVIDER_TIMEOUT,
        FailureKind.PROVIDER_RATE_LIMITED,
        FailureKind.PROVIDER_QUOTA,
        FailureKind.PROVIDER_NOT_CONFIGURED,
    }
)


class JournalBroke(Exception):
    """Carries what a journal callback raised past the handlers for providers and tools."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def tell(callback: Awaitable[T]) -> T:
    """Await a journal callback; raises RunStopped, or JournalBroke for anything else."""
    try:
        return await callback
    except RunStopped:
        raise
    except Exception as error:
        raise JournalBroke(error) from error


class ModelTurns:
    """Asks the models of a run; who has answered is asked first from then on."""

    def __init__(
        self,
        spec: RunSpec,
        providers: Models,
        tools: Toolset,
        journal: Journal,
        check: OutputCheck,
        *,
        time_limit: TimeLimit,
    ) -> None:
        self._spec = spec
        self._providers = providers
        self._tools = tools
        self._journal = journal
        self._check = check
        self._time_limit = time_limit
        self._candidates = [(spec.provider, spec.model), *spec.fallbacks]
        self._parameters = ModelRequestParameters(function_tools=tools.definitions())
        self._fixed_size = size_of(self._parameters.function_tools) + check.size()

    @property
    def provider(self) -> str:
        """Who is asked first, and answered last if somebody did."""
        return self._candidates[0][0]

    async def ask(self, talk: history.Conversation) -> None:
        """Add the next answer to `talk`, once it is on record.

        Raises RunStopped with the failure of the first model when none of them can answer.
        """
        refused: list[RunStopped] = []
        skipped: list[SkippedModel] = []
        for number, (provider, name) in enumerate(self._candidates):
            try:
                await self._ask(talk, provider, name, skipped)
            except RunStopped as stopped:
                if stopped.failure.kind not in FALL_BACK:
                    raise
                refused.append(stopped)
                skipped.append(self._skipped(provider, name, stopped.failure))
            else:
                self._candidates = self._candidates[number:]
                return
        raise refused[0]

    async def _ask(
        self, talk: history.Conversation, provider: str, name: str, skipped: list[SkippedModel]
    ) -> None:
        model = self._providers.model(provider, name)
        call = ModelCall(
            ordinal=talk.turns + 1,
            provider=provider,
            model=name,
            input_tokens=talk.size() + self._fixed_size,
            output_tokens=self._spec.max_tokens or MOST_OUTPUT_TOKENS,
        )
        await tell(self._journal.model_request_started(call))
        started = time.monotonic()
        try:
            answer = await self._answer(talk, model, call)
        except RunStopped as stopped:
            await tell(self._journal.model_failed(stopped.failure))
            raise
        duration_ms = round((time.monotonic() - started) * 1000)
        answer = talk.add_answer(answer, call)
        turn = replace(self._turn(call, answer, duration_ms), skipped=tuple(skipped))
        await tell(self._journal.model_answered(turn))

    async def _answer(
        self, talk: history.Conversation, model: Model[Any], call: ModelCall
    ) -> ModelResponse:
        try:
            async with asyncio.timeout(self._time_limit.left()):
                answer = await model_call.stream_answer(
                    model,
                    talk.for_model(),
                    settings=model_call.settings_for(
                        model,
                        temperature=self._spec.temperature,
                        max_tokens=self._spec.max_tokens,
                    ),
                    parameters=self._check.asked_of(model, self._parameters),
                    max_tool_calls=self._spec.guardrails.max_tool_calls,
                    on_text=self._tell_text,
                )
        except JournalBroke:
            raise
        except model_call.TooManyToolCalls as many:
            raise RunStopped(
                failures.too_many_tool_calls(self._spec.guardrails, talk.calls_made + many.number)
            ) from None
        except Exception as error:
            self._raise_if_interrupted()
            failure = provider_failures.of_model_call(
                error, provider=call.provider, model=call.model
            )
            raise RunStopped(replace(failure, is_unbilled=is_unbilled(error))) from error
        if answer.finish_reason is None:
            raise RunStopped(provider_failures.cut_off(call.provider))
        return answer

    def _raise_if_interrupted(self) -> None:
        """SDKs may turn a cancellation into an error of theirs; the cause comes first."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        if not self._time_limit.left():
            raise RunStopped(failures.timed_out(self._spec.guardrails))

    def _skipped(self, provider: str, name: str, failure: RunFailure) -> SkippedModel:
        message = self._spec.redact(failure.message)
        return SkippedModel(provider=provider, model=name, kind=failure.kind, message=message)

    async def _tell_text(self, text: str) -> None:
        await tell(self._journal.text_delta(text))

    def _turn(self, call: ModelCall, answer: ModelResponse, duration_ms: int) -> ModelTurn:
        return ModelTurn(
            ordinal=call.ordinal,
            provider=call.provider,
            model=answer.model_name or call.model,
            asked_model=call.model,
            text=history.text_of(answer),
            tool_calls=tuple(
                history.as_tool_call(part, self._tools.name_of(part.tool_name))
                for part in history.tool_calls(answer)
            ),
            usage=history.usage_of(answer),
            finish_reason=answer.finish_reason or "",
            duration_ms=duration_ms,
            message=self._spec.redact(history.dump(answer)),
        )
