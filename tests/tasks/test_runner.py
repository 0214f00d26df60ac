"""A worker's runs, with the demo provider on the process's real event loop."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Organization
from agents.choices import ExecutionStatus
from agents.models import AgentExecution
from agents.operations import registry, run_agent
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool
from kernel import clock, loop, redis_client
from tasks.choices import TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.operations import requests
from tasks.operations.runner import Runner
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, make_agent, registered
from tests.tasks.factories import act, make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(transactional_db: None) -> Organization:
    """An organization that other threads see."""
    return make_organization()


@pytest.fixture
def runner(settings: Settings) -> Iterator[Runner]:
    """A runner with three slots; its loop ends with the test."""
    settings.HUB_WORKER_RUNS = 3
    settings.HUB_LEASE = timedelta(seconds=30)
    run_agent.model_registry.cache_clear()  # it serves one event loop
    made = Runner(run_agent.run)
    yield made
    made.stop()
    loop.stop(timeout=5)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """The tool `wait_at_gate` blocks until this event is set."""
    opened = threading.Event()

    def wait_at_gate(_: ToolContext, __: Any) -> str:
        assert opened.wait(30)
        return "through"

    tool = Tool(
        name="wait_at_gate",
        description="Wait at the gate.",
        parameters={"type": "object"},
        call=wait_at_gate,
    )
    with registered(tool):
        yield opened
        opened.set()


def wait_until(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(400):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("It did not come to pass within 20 seconds.")


def hear(runner: Runner) -> int:
    return runner.hear(now=clock.now)


def test_a_lease_begins_when_its_batch_is_claimed(
    home: Organization, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(home, max_concurrent_tasks=3)
    for _ in range(3):
        make_task(home, agent=agent)
    monkeypatch.setattr("tasks.operations.runner.CLAIM_BATCH", 1)
    begun = clock.now()
    instants = [begun + timedelta(seconds=number) for number in range(3)]
    asked = iter(instants)

    runner.hear(now=lambda: next(asked))

    attempts = TaskAttempt.objects.order_by("created_at").values_list("created_at", flat=True)
    assert list(attempts) == instants


def test_whoever_comes_while_another_claims_leaves_it_to_that_one(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def claim(**_: Any) -> list[Any]:
        asked.append(len(asked))
        if len(asked) == 1:
            assert hear(runner) == 0  # answered at once, and by a second look of the first
        return []

    monkeypatch.setattr("tasks.operations.claims.claim_tasks", claim)

    hear(runner)

    assert asked == [0, 1]


def test_a_started_agent_is_not_kept_waiting_for_the_next_sweep(home: Organization) -> None:
    agent = make_agent(home, started=False)
    make_task(home, agent=agent)
    bells = [f"hub:doorbell:tasks.{verb}_tasks" for verb in ("claim", "sweep")]
    redis_client.client().delete(*bells)

    registry.start_agent(organization_id=home.pk, agent_id=agent.pk, actor=PERSON, now=clock.now())

    assert redis_client.client().exists(*bells) == 2


def test_every_task_is_run_though_slots_are_few(home: Organization, runner: Runner) -> None:
    agent = make_agent(home, max_concurrent_tasks=100, enabled_tools=["calculator"])
    for number in range(8):
        make_task(home, agent=agent, title=f"Calculate 6 * {number}")

    first = hear(runner)
    wait_until(lambda: not Task.objects.exclude(status=TaskStatus.COMPLETED).exists())

    agent.refresh_from_db()
    assert first == 3
    assert (agent.status, agent.tasks_completed) == ("idle", 8)
    assert TaskAttempt.objects.filter(outcome="succeeded").count() == 8
    assert AgentExecution.objects.filter(status=ExecutionStatus.SUCCESS).count() == 8


def test_an_agents_own_limit_comes_first(home: Organization, runner: Runner) -> None:
    agent = make_agent(home, max_concurrent_tasks=1)
    for _ in range(2):
        make_task(home, agent=agent)

    assert hear(runner) == 1
    wait_until(lambda: not Task.objects.exclude(status=TaskStatus.COMPLETED).exists())


def test_a_stopped_runner_claims_nothing(home: Organization, runner: Runner) -> None:
    task = make_task(home, agent=make_agent(home))
    runner.stop()

    assert hear(runner) == 0
    task.refresh_from_db()
    assert task.status == TaskStatus.ASSIGNED


def test_an_agent_with_a_tool_that_is_gone_works_without_it(
    home: Organization, runner: Runner
) -> None:
    teleport = Tool(name="teleport", description="Go.", parameters={}, call=print)
    with registered(teleport):
        agent = make_agent(home, enabled_tools=["teleport", "calculator"])
    task = make_task(home, agent=agent, title="Calculate 6 * 7")

    hear(runner)
    wait_until(lambda: Task.objects.filter(status=TaskStatus.COMPLETED).exists())

    task.refresh_from_db()
    assert "6 * 7 = 42" in (task.result or "")


@pytest.mark.parametrize("end", ["cancelled", "shut down"])
def test_a_run_that_is_taken_away_ends_and_writes_nothing_more(
    home: Organization, runner: Runner, gate: threading.Event, end: str
) -> None:
    agent = make_agent(home, enabled_tools=["wait_at_gate"])
    task = make_task(home, agent=agent, title="Call wait_at_gate")
    hear(runner)
    wait_until(lambda: AgentExecution.objects.filter(steps__tool="wait_at_gate").exists())

    if end == "cancelled":
        act(requests.cancel_task, task)
        wait_until(lambda: not runner._runs)
    else:
        runner.stop()
        loop.stop(timeout=0.1)
    gate.set()

    task.refresh_from_db()
    attempt = TaskAttempt.objects.get()
    expected = {"cancelled": ("cancelled", "cancelled"), "shut down": ("assigned", "returned")}
    assert (task.status, attempt.outcome) == expected[end]
    assert AgentExecution.objects.get().status == ExecutionStatus.CANCELLED
    agent.refresh_from_db()
    assert agent.status == "idle"


def test_a_stopped_agent_finishes_nothing(
    home: Organization, runner: Runner, gate: threading.Event
) -> None:
    agent = make_agent(home, enabled_tools=["wait_at_gate"])
    task = make_task(home, agent=agent, title="Call wait_at_gate")
    hear(runner)
    wait_until(lambda: AgentExecution.objects.filter(steps__tool="wait_at_gate").exists())

    registry.stop_agent(organization_id=home.pk, agent_id=agent.pk, actor=PERSON, now=clock.now())
    wait_until(lambda: not runner._runs)
    gate.set()

    task.refresh_from_db()
    assert (task.status, task.retry_count) == (TaskStatus.ASSIGNED, 0)
