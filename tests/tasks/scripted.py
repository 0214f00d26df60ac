"""Runs with a model that follows a script, and workers that die where a test says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest

from agents.operations import (
    agent_calls,
    call_approvals,
    executions,
    model_turns,
    playing,
    run_agent,
)
from agents.runtime.provider_registry import ProviderRegistry
from agents.runtime.providers import ProviderSettings
from agents.runtime.spec import RunResult
from kernel import clock, loop
from tasks.models import Task
from tasks.operations import endings, sweeps
from tasks.operations.claims import Claim
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Step
from tests.tasks import factories

# Everything that a run writes on its way.
WRITES: Final = (
    (model_turns, "record_turn"),
    (playing, "record_played_turn"),
    (executions, "record_tool_call"),
    (executions, "record_refusal"),
    (executions, "record_tool_result"),
    (call_approvals, "ask"),
    (agent_calls, "open_child"),
    (agent_calls, "close_child"),
)


class Killed(Exception):
    """The worker died here."""


@contextmanager
def answering(
    monkeypatch: pytest.MonkeyPatch, respond: Callable[[Mapping[str, Any]], Step]
) -> Iterator[ModelPeer]:
    """The model, and nothing but it behind the provider `openai`."""
    with openai_peer(respond=respond) as model:
        settings = ProviderSettings(api_key=KEY, base_url=f"{model.url}/v1")
        registry = ProviderRegistry({"openai": settings})
        monkeypatch.setattr(run_agent, "model_registry", lambda: registry)
        yield model
        loop.get().submit(registry.aclose()).result(10)


def run(claim: Claim) -> RunResult:
    """The claimed run, on the loop, to its end."""
    return (
        loop.get()
        .submit(run_agent.run(execution=claim.execution, version=claim.version, deadline=None))
        .result(30)
    )


def finish(claim: Claim) -> Task:
    """The claimed run and its end."""
    return endings.settle_attempt(claim=claim, result=run(claim), now=clock.now())


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, when: str) -> None:
    """Die before or after the `number`th journal write is committed."""
    written = 0

    def deadly(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            nonlocal written
            written += 1
            if written == number and when == "before":
                raise Killed
            stored = write(**arguments)
            if written == number:
                raise Killed
            return stored

        return call

    for module, name in WRITES:
        monkeypatch.setattr(module, name, deadly(getattr(module, name)))


def claim_again(task: Task) -> Claim:
    """What the next worker gets once the lease of the first has lapsed."""
    later = clock.now() + 2 * factories.LEASE
    sweeps.sweep_tasks(now=later)
    return factories.claim_one(task, now=later, worker="worker:2")
