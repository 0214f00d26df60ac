"""What a stream reads: batches, results in their order, calls that a person closed."""

from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from agents.models import ExecutionStep
from agents.operations import resumption
from hub.front import history
from hub.front.history import START, Event, Position
from kernel import clock
from tasks.models import Task
from tests.agents.factories import failed, make_agent
from tests.hub.front.runs import Run, make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def task(organization: Organization) -> Task:
    """A task that waits."""
    return make_task(make_agent(organization))


def events_after(task: Task, position: Position = START) -> list[Event]:
    """Everything, read part by part."""
    events: list[Event] = []
    has_more = True
    while has_more:
        part = history.read(organization_id=task.organization_id, task_id=task.pk, since=position)
        events += part.events
        position, has_more = part.position, part.has_more
    return events


def told(events: list[Event]) -> list[str]:
    return [f"{event.name} {event.id}" for event in events]


def side_by_side(task: Task) -> None:
    """Three calls, five at a time, and a second round; results in another order."""
    run = Run(task)
    run.turn()
    run.call("a", "b", "c")
    run.result("c", "a")
    run.call("d")
    run.result("d", "b")
    run.turn()
    run.end()


def test_results_stand_where_they_came(task: Task) -> None:
    side_by_side(task)

    assert told(events_after(task)) == [
        "progress 1.0",
        "turn 1.1",
        "tool_start 1.2-2",
        "tool_start 1.3-2-3",
        "tool_start 1.4-2-3-4",
        "tool_result 1.4-2-3",
        "tool_result 1.4-3",
        "tool_start 1.5-3-5",
        "tool_result 1.5-3",
        "tool_result 1.5",
        "turn 1.6",
        "done 1.end",
    ]


@pytest.mark.parametrize("batch", [4, 5, 6])
def test_batches_change_nothing(task: Task, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    side_by_side(task)
    whole = events_after(task)
    monkeypatch.setattr(history, "BATCH", batch)

    assert events_after(task) == whole


@pytest.mark.parametrize("batch", [4, 50])
def test_every_position_leads_to_exactly_the_rest(
    task: Task, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    side_by_side(task)
    whole = events_after(task)
    monkeypatch.setattr(history, "BATCH", batch)

    for place, event in enumerate(whole):
        back = history.resume(
            organization_id=task.organization_id, task_id=task.pk, last_event_id=str(event.id)
        )
        assert back == event.id
        assert events_after(task, back) == whole[place + 1 :]


def test_a_clock_that_steps_back_moves_results_but_loses_none(task: Task) -> None:
    side_by_side(task)
    whole = events_after(task)
    early = clock.now() - timedelta(hours=1)
    ExecutionStep.objects.filter(ordinal__gte=4).update(created_at=early, updated_at=early)

    events = events_after(task)

    assert sorted(event.name for event in events) == sorted(event.name for event in whole)
    results = [event.data["step"] for event in events if event.name == "tool_result"]
    assert sorted(results) == [2, 3, 4, 5]


def test_a_call_that_a_person_closed_later_is_no_event(task: Task) -> None:
    run = Run(task)
    run.turn()
    run.call("a")
    run.end(failed())
    before = events_after(task)
    ExecutionStep.objects.filter(call_id="a").update(
        status="failed", error=resumption.ALLOWED_ON, updated_at=clock.now()
    )

    assert events_after(task) == before
    assert told(before)[-2:] == ["tool_start 1.2-2", "progress 1.end"]


def test_a_mark_changes_with_every_step(task: Task) -> None:
    run = Run(task)
    marks = []

    for step in (run.turn, partial(run.call, "a"), partial(run.result, "a"), run.end):
        marks.append(history.find_marks(task_ids=[task.pk]))
        step()
    marks.append(history.find_marks(task_ids=[task.pk]))

    values = [found[task.pk] for found in marks]
    assert all(one != next_one for one, next_one in pairwise(values))


def test_a_stream_costs_few_queries(
    task: Task, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Run(task).turn()

    with django_assert_num_queries(4):
        history.read(organization_id=task.organization_id, task_id=task.pk, since=START)
