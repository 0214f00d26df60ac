"""A model that gives the answers of a run that was, in their order, in place of asking anybody."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import (
    CompletedStreamedResponse,
    Model,
    ModelRequestParameters,
    StreamedResponse,
)
from pydantic_ai.settings import ModelSettings

from agents.runtime.spec import Message


class RecordedModel(Model[None]):
    """Answers whatever it is asked with what comes next on record.

    Whoever asks knows how much that is: beyond it is LookupError.
    """

    def __init__(self, answers: Sequence[Message]) -> None:
        super().__init__()
        self._answers = deque(answers)

    @property
    def model_name(self) -> str:
        return "recorded"

    @property
    def system(self) -> str:
        return "recorded"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        (answer,) = ModelMessagesTypeAdapter.validate_python([self._answers.popleft()])
        if not isinstance(answer, ModelResponse):
            raise TypeError("What is on record is no answer of a model.")
        return answer

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        answer = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(
            answer, model_request_parameters=model_request_parameters, replay_events=True
        )


class Playback:
    """The models of a run that is played again: whichever is asked for, it is the record."""

    def __init__(self, answers: Sequence[Message]) -> None:
        self._model = RecordedModel(answers)

    def model(self, provider: str, name: str) -> "Model[Any]":
        """The recorded one."""
        return self._model
