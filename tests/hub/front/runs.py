"""Runs whose steps a test takes one by one, through the journal that workers use."""

from collections.abc import Coroutine
from datetime import datetime
from itertools import count
from typing import Any

from agents.models import Agent
from agents.operations.gates import RunGate
from agents.operations.journal import Background, ExecutionJournal
from agents.runtime.journal import ModelTurn, ToolCall, ToolResult
from agents.runtime.spec import RunResult, Usage
from events import operations as events
from kernel import clock, loop, redaction
from kernel.redaction import Live
from tasks.models import Task
from tasks.operations import endings
from tests.agents.factories import answered
from tests.tasks import factories


class AtOnce(Live):
    """Holds no word back until the next one begins."""

    def push(self, text: str) -> str:
        """All of it."""
        return text


class Run:
    """One claimed attempt; what it does is committed and sent when the method returns."""

    def __init__(self, task: Task, *, now: datetime | None = None) -> None:
        self.claim = factories.claim_one(task, now=now)
        execution = self.claim.execution
        self.journal = ExecutionJournal(
            execution,
            RunGate(execution, self.claim.version),
            Background(execution.pk),
            AtOnce(redaction.load(execution.organization_id)),
        )
        self._turns = count(1)
        relay()

    def words(self, text: str) -> None:
        """A piece of an answer."""
        _await(self.journal.text_delta(text))

    def turn(self, text: str = "") -> None:
        """A whole answer of 3 + 2 tokens."""
        turn = ModelTurn(
            ordinal=next(self._turns),
            provider="demo",
            model="demo",
            text=text,
            tool_calls=(),
            usage=Usage(input_tokens=3, output_tokens=2),
            finish_reason="stop",
            duration_ms=5,
            message={"kind": "response", "parts": []},
        )
        _await(self.journal.model_answered(turn))

    def call(self, *names: str) -> None:
        """Calls of the tools `look` begin."""
        for name in names:
            _await(
                self.journal.tool_started(ToolCall(id=name, tool="look", arguments={"at": name}))
            )

    def result(self, *names: str, error: str | None = None) -> None:
        """They end, in this order."""
        for name in names:
            result = ToolResult(
                id=name,
                tool="look",
                result=None if error else {"saw": name},
                error=error,
                duration_ms=4,
                message={"kind": "request", "parts": []},
            )
            _await(self.journal.tool_finished(result))

    def end(self, result: RunResult | None = None) -> None:
        """The attempt ends."""
        endings.settle_attempt(
            claim=self.claim, result=result or answered("Hello."), now=clock.now()
        )
        relay()

    def whole(self) -> None:
        """A run with two calls side by side, of which the second ends first."""
        self.turn("Let me look.")
        self.call("a", "b")
        self.result("b", "a")
        self.turn("Hello.")
        self.end()


def make_task(agent: Agent, **values: Any) -> Task:
    """A task that waits for its run."""
    task = factories.make_task(agent.organization, agent=agent, **values)
    relay()
    return task


def relay() -> None:
    """Send what the outbox holds."""
    events.relay_outbox(now=clock.now())


def _await(step: Coroutine[Any, Any, None]) -> None:
    loop.get().submit(step).result(10)
