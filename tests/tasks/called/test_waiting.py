"""A called agent that waits for a place in its worker."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from django.conf import LazySettings

from agents.models import ExecutionStep
from agents.operations import agent_calls, model_turns, run_agent
from agents.runtime import time_limit
from agents.runtime.time_limit import TimeLimit
from kernel import clock, loop
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings
from tasks.operations.claims import Claim
from tasks.selectors.explanations import explain_task
from tests.peers.script import Answer, Respond, Step
from tests.tasks import factories
from tests.tasks.called.scenes import at_write, results, says
from tests.threads import Gate

pytestmark = pytest.mark.django_db(transaction=True)
TWICE: Final = tuple(("agent_Helper", {"prompt": f"Note {number}."}) for number in range(2))
Crowded = Callable[[Callable[[], None]], Task]


@pytest.fixture
def claim(task: Task) -> Claim:
    return factories.claim_one(task)


@pytest.fixture
def crowded(
    claim: Claim, script: list[Respond], settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Crowded:
    """The boss calls its helper twice at once, and there is one place: `act` is done while the one
    holds it and the other waits; the task at its end."""
    answer, waits = Gate(), threading.Semaphore(0)

    class Told(TimeLimit):
        @contextmanager
        def stopped(self) -> Iterator[None]:
            with super().stopped():
                waits.release()
                yield

    def respond(body: Mapping[str, Any]) -> Step:
        if says(body, "You are the boss.") and not results(body):
            return Answer(tool_calls=TWICE)
        return Answer(text="Done.")

    script.append(respond)
    settings.HUB_WORKER_RUNS = 1
    monkeypatch.setattr(agent_calls, "_places", {})
    monkeypatch.setattr(run_agent, "TimeLimit", Told)

    def run(act: Callable[[], None]) -> Task:
        # The first one's answer is held back, and with it the place.
        with at_write(model_turns, "record_turn", answer, 2):
            ended = loop.get().submit(
                run_agent.run(execution=claim.execution, version=claim.version)
            )
            answer.wait()
            try:
                assert all(waits.acquire(timeout=20) for _ in TWICE)
                act()
            finally:
                answer.open()
            result = ended.result(30)
        return endings.settle_attempt(claim=claim, result=result, now=clock.now())

    return run


def test_explain_names_who_waits(crowded: Crowded, claim: Claim) -> None:
    steps = ExecutionStep.objects.filter(status="started").order_by("ordinal")

    def look() -> None:
        _, waiting = steps
        task = Task.objects.get()
        found = explain_task(task=task, now=waiting.created_at + timedelta(seconds=2))
        sooner = explain_task(task=task, now=waiting.created_at + timedelta(seconds=1))

        running, place = found.reasons
        assert (found.summary, running.code) == ("The task is running.", "running")
        assert (place.code, place.since) == ("waiting_for_place", waiting.created_at)
        assert (place.kind, place.id) == ("execution", claim.execution.pk)
        assert place.message.startswith("Agent Boss called agent Helper, which begins once")
        assert [reason.code for reason in sooner.reasons] == ["running"]

    assert crowded(look).status == TaskStatus.COMPLETED


def test_the_wait_is_no_time_of_who_called(
    crowded: Crowded, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr(time_limit, "monotonic", lambda: time.monotonic() + passed[0])

    def wait_long() -> None:
        passed[0] = 10.0 * claim.version.timeout_seconds

    done = crowded(wait_long)

    assert (done.status, done.result, done.error) == (TaskStatus.COMPLETED, "Done.", "")
