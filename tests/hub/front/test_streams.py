"""What a stream of a task tells: its past, its present, its end."""

from datetime import timedelta

import pytest

from accounts.models import User
from agents.models import Agent
from hub.front import streams, watches
from kernel import clock
from tasks.operations import requests, sweeps
from tests.agents.factories import failed, make_agent
from tests.hub.front import peer, sse
from tests.hub.front.peer import Front
from tests.hub.front.runs import Run, make_task, relay
from tests.hub.front.sse import Event
from tests.tasks import factories

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = [
    ("progress", "1.0"),
    ("turn", "1.1"),
    ("tool_start", "1.2-2"),
    ("tool_start", "1.3-2-3"),
    ("tool_result", "1.3-2"),
    ("tool_result", "1.3"),
    ("turn", "1.4"),
    ("done", "1.end"),
    ("complete", ""),
]


@pytest.fixture
def agent(viewer: User) -> Agent:
    """An agent of the viewer's organization."""
    return make_agent(viewer.organization)


def test_whoever_comes_late_gets_the_history_and_the_end(
    front: Front, viewer: User, agent: Agent
) -> None:
    task = make_task(agent)
    Run(task).whole()

    events = sse.read(front, viewer, task)

    assert [event[:2] for event in events] == WHOLE
    assert [event.data for event in events] == [
        {"attempt": 1, "status": "running", "error": ""},
        turn(1, "Let me look."),
        {"attempt": 1, "step": 2, "name": "look", "id": "a", "arguments": {"at": "a"}},
        {"attempt": 1, "step": 3, "name": "look", "id": "b", "arguments": {"at": "b"}},
        result(3, "b"),
        result(2, "a"),
        turn(4, "Hello."),
        {"attempt": 1, "content": "Hello."},
        {"status": "completed", "result": "Hello.", "cost_tokens": 10, "cost_usd": "0.00000000"},
    ]


def turn(step: int, text: str) -> dict[str, object]:
    return {
        "attempt": 1,
        "step": step,
        "content": text,
        "provider": "demo",
        "model": "demo",
        "tokens": 5,
        "input_tokens": 3,
        "output_tokens": 2,
        "cost_usd": "0.00000000",
        "duration_ms": 5,
    }


def result(step: int, name: str) -> dict[str, object]:
    place = {"attempt": 1, "step": step, "name": "look", "id": name}
    return {**place, "result": {"saw": name}, "duration_ms": 4}


def test_whoever_comes_early_sees_it_happen(front: Front, viewer: User, agent: Agent) -> None:
    task = make_task(agent)

    with sse.watch(front, viewer, task) as stream:
        waiting = stream.take(1)
        run = Run(task)
        begun = stream.take(2)
        run.words("Let ")
        run.words("me look.")
        said = stream.take(2)
        run.turn("Let me look.")
        run.call("a")
        made = stream.take(2)
        run.result("a", error="Too dark.")
        run.end()
        rest = stream.rest()

    assert waiting == [Event("progress", "", state("assigned"))]
    assert begun == [
        Event("progress", "1.0", {"attempt": 1, "status": "running", "error": ""}),
        Event("progress", "", state("in_progress")),
    ]
    assert said == [
        Event("token", "", {"attempt": 1, "step": 1, "content": "Let "}),
        Event("token", "", {"attempt": 1, "step": 1, "content": "me look."}),
    ]
    assert [event[:2] for event in made] == [("turn", "1.1"), ("tool_start", "1.2-2")]
    assert [event[:2] for event in rest] == [
        ("tool_result", "1.2"),
        ("done", "1.end"),
        ("complete", ""),
    ]
    assert rest[0].data["error"] == "Too dark."


def state(status: str) -> dict[str, object]:
    return {"attempt": None, "status": status, "error": "", "next_attempt_at": None}


def test_whoever_comes_back_gets_exactly_the_rest(front: Front, viewer: User, agent: Agent) -> None:
    task = make_task(agent)
    first = Run(task)
    first.turn("Let me look.")
    first.call("a", "b", "c")
    first.result("b")
    first.end(failed())
    Run(task, now=clock.now() + timedelta(minutes=10)).whole()

    events = sse.read(front, viewer, task)

    ids = [event.id for event in sse.durable(events)]
    assert len(ids) == len(set(ids)) == 15
    for place, last_id in enumerate(ids):
        assert sse.read(front, viewer, task, after=last_id) == events[place + 1 :]


def test_whoever_comes_back_in_the_middle_misses_no_late_result(
    front: Front, viewer: User, agent: Agent
) -> None:
    task = make_task(agent)
    run = Run(task)
    run.turn()
    run.call("a", "b", "c")
    run.result("c")
    with sse.watch(front, viewer, task) as stream:
        last = stream.until("tool_result")
    run.result("b")

    with sse.watch(front, viewer, task, after=last.id) as stream:
        missed = stream.take(1)
        stream.until("progress")
        run.result("a")
        live = stream.take(1)

    assert last.id == "1.4-2-3"
    assert [event[:2] for event in (*missed, *live)] == [
        ("tool_result", "1.4-2"),
        ("tool_result", "1.4"),
    ]


def test_an_id_that_is_none_of_this_task_begins_at_the_beginning(
    front: Front, viewer: User, agent: Agent
) -> None:
    task = make_task(agent)
    Run(task).whole()
    whole = sse.read(front, viewer, task)

    for junk in ("0", "x", "1.", "1.9", "2.1", "1.4-9", "1.1-4", "1.end-1", "2.end", "9" * 30):
        assert sse.read(front, viewer, task, after=junk) == whole


def test_an_attempt_that_has_not_ended_cannot_be_behind_anybody(
    front: Front, viewer: User, agent: Agent
) -> None:
    task = make_task(agent)
    Run(task).turn()

    with sse.watch(front, viewer, task, after="1.end") as stream:
        assert [event.id for event in stream.take(2)] == ["1.0", "1.1"]


def test_a_retry_goes_on_in_the_same_stream(front: Front, viewer: User, agent: Agent) -> None:
    task = make_task(agent)

    with sse.watch(front, viewer, task) as stream:
        first = Run(task)
        first.turn("Let me look.")
        first.end(failed())
        task.refresh_from_db()
        waits = task.available_at
        Run(task, now=clock.now() + timedelta(minutes=10)).whole()
        events = stream.rest()

    assert [(event.name, event.id) for event in sse.durable(events)] == [
        ("progress", "1.0"),
        ("turn", "1.1"),
        ("progress", "1.end"),
        *[(name, place.replace("1.", "2.", 1)) for name, place in WHOLE[:-1]],
    ]
    ended = next(event for event in events if event.id == "1.end")
    assert ended.data == {"attempt": 1, "status": "failed", "error": "The provider is away."}
    assert events[-1].name == "complete"
    assert waits > clock.now()


def test_a_lost_worker_is_told(front: Front, viewer: User, agent: Agent) -> None:
    task = make_task(agent)
    run = Run(task)
    run.turn()
    run.call("a")

    with sse.watch(front, viewer, task) as stream:
        stream.take(4)
        sweeps.sweep_tasks(now=clock.now() + 2 * factories.LEASE)
        relay()
        ended, waiting = stream.take(2)

    assert (ended.id, ended.data["status"]) == ("1.end", "lost")
    assert (waiting.id, waiting.data["status"]) == ("", "assigned")
    assert waiting.data["next_attempt_at"] is not None


@pytest.mark.parametrize("running", [True, False])
def test_cancelling_ends_the_stream(
    front: Front, viewer: User, agent: Agent, *, running: bool
) -> None:
    task = make_task(agent)
    if running:
        Run(task).turn()

    with sse.watch(front, viewer, task) as stream:
        stream.take(3 if running else 1)
        factories.act(requests.cancel_task, task)
        relay()
        *before, end = stream.rest()

    assert [event.id for event in before if event.id] == (["1.end"] if running else [])
    assert end.name == "error"
    assert (end.data["status"], end.data["code"]) == ("cancelled", "cancelled")
    assert end.data["message"] == "The task was cancelled."


def test_a_failed_task_ends_with_its_reason(front: Front, viewer: User, agent: Agent) -> None:
    task = make_task(agent)
    Run(task).end(failed(retryable=False))

    events = sse.read(front, viewer, task)

    assert [event.name for event in events] == ["progress", "progress", "error"]
    assert events[-1].data == {
        "status": "failed",
        "code": "provider_unavailable",
        "message": "The provider is away.",
        "cost_tokens": 0,
        "cost_usd": "0.00000000",
    }


def test_words_that_come_after_their_answer_are_dropped(
    front: Front, viewer: User, agent: Agent
) -> None:
    task = make_task(agent)
    run = Run(task)

    with sse.watch(front, viewer, task) as stream:
        stream.take(2)
        run.turn("Hello.")
        late = stream.take(1)
        run.journal._ordinal = 0
        run.words("Hello.")
        run.journal._ordinal = 1
        run.words("And ")
        after = stream.take(1)

    assert [event.name for event in late] == ["turn"]
    assert after == [Event("token", "", {"attempt": 1, "step": 2, "content": "And "})]


def test_words_whose_beginning_was_not_heard_of_come_after_it(
    front: Front, viewer: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LOOK_SECONDS", 60.0)
    task = make_task(agent)
    run = Run(task)

    with sse.watch(front, viewer, task) as stream:
        stream.take(2)
        with pytest.MonkeyPatch.context() as silent:
            silent.setattr(run.journal, "_show", lambda *_, **__: None)
            run.turn("Let me look.")
        run.words("Hello.")
        events = stream.take(2)

    assert [event.name for event in events] == ["turn", "token"]


def test_silence_is_filled_with_heartbeats(
    front: Front, viewer: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(watches, "LOOK_SECONDS", 60.0)
    task = make_task(agent)

    with peer.running() as patient, sse.watch(patient, viewer, task) as stream:
        stream.take(1)
        sse.wait_until(lambda: next(stream._lines) == ": heartbeat")
        Run(task).whole()

        assert stream.until("complete")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_answer_is_a_stream_that_nobody_keeps(
    front: Front, viewer: User, agent: Agent, slash: str
) -> None:
    with sse.watch(front, viewer, make_task(agent), slash=slash) as stream:
        heads = stream.response.headers

    assert heads["content-type"] == "text/event-stream; charset=utf-8"
    assert (heads["cache-control"], heads["x-accel-buffering"]) == ("no-cache", "no")
    assert heads["x-request-id"]
