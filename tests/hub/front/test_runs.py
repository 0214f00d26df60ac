"""Direct runs through the front: waited for, streamed, given up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from accounts.models import Session, User
from accounts.operations import sessions
from agents.models import Agent
from hub.front import runs, streams
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.accounts import factories
from tests.agents.factories import failed, make_agent
from tests.hub.front.peer import Front
from tests.hub.front.runs import Run, relay
from tests.hub.front.sse import Stream, wait_until
from tests.tasks.factories import change

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent(operator: User) -> Agent:
    """A started agent."""
    return make_agent(operator.organization, name="Reckoner")


class Asking(threading.Thread):
    """A client that waits for the answer to a POST."""

    def __init__(self, front: Front, user: User, path: str, body: Any, key: str = "") -> None:
        super().__init__(daemon=True)
        headers = {"Idempotency-Key": key} if key else {}
        self._client = client(front, user, headers)
        self._path, self._body = path, body
        self.answer: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        with self._client:
            try:
                self.answer = self._client.post(self._path, json=self._body)
            except httpx.HTTPError:
                return

    def told(self) -> tuple[int, Any]:
        """What it was answered."""
        self.join(10)
        assert self.answer is not None
        return self.answer.status_code, self.answer.json()


def client(front: Front, user: User, headers: dict[str, str] | None = None, **how: Any) -> Any:
    authorization = {"Authorization": f"Bearer {factories.make_token(user)}"}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{front.port}",
        headers={**authorization, **(headers or {})},
        timeout=how.get("timeout", 10),
        trust_env=False,
    )


def begun(count: int = 1) -> Task:
    """The newest task, once so many were begun."""
    wait_until(lambda: Task.objects.count() == count)
    relay()
    return Task.objects.latest("created_at", "pk")


def ask(front: Front, user: User, agent: Agent, *, key: str = "", **body: Any) -> Asking:
    path = f"/api/v1/agents/{agent.pk}/run"
    return Asking(front, user, path, {"prompt": "Say hello.", **body}, key)


@contextmanager
def streaming(front: Front, user: User, path: str) -> Iterator[Stream]:
    with (
        client(front, user) as asking,
        asking.stream("POST", path, json={"prompt": "Say hello."}) as response,
    ):
        assert response.status_code == 200
        yield Stream(response)


def status_of(task: Task) -> str:
    return Task.objects.values_list("status", flat=True).get(pk=task.pk)


def test_a_run_is_answered_when_it_has_ended(front: Front, operator: User, agent: Agent) -> None:
    asking = ask(front, operator, agent)
    task = begun()
    work = Run(task)
    work.whole()

    status, told = asking.told()

    assert (status, told) == (
        200,
        {
            "execution_id": str(work.claim.execution.pk),
            "task_id": str(task.pk),
            "conversation_id": str(task.conversation_id),
            "status": "success",
            "output": "Hello.",
            "error": "",
            "error_kind": "",
            "tool_calls": 2,
            "usage": {"prompt": 6, "completion": 4, "total": 10},
            "cost_usd": "0.00000000",
            "duration_ms": 7,
        },
    )
    assert asking.answer is not None
    assert asking.answer.headers["content-type"] == "application/json"
    assert "x-request-id" in asking.answer.headers


def test_a_failed_run_is_told_as_such(front: Front, operator: User, agent: Agent) -> None:
    asking = ask(front, operator, agent)
    Run(begun()).end(failed())

    status, told = asking.told()

    assert (status, told["status"], told["error"]) == (200, "error", "The provider is away.")
    assert told["error_kind"] == "provider_unavailable"


def test_refusals_are_django_s(front: Front, viewer: User, agent: Agent) -> None:
    status, told = ask(front, viewer, agent).told()

    assert (status, told["code"]) == (403, "permission.denied")


def test_whoever_hangs_up_cancels_the_run(front: Front, operator: User, agent: Agent) -> None:
    with client(front, operator, timeout=0.5) as asking, pytest.raises(httpx.ReadTimeout):
        asking.post(f"/api/v1/agents/{agent.pk}/run", json={"prompt": "Say hello."})

    task = begun()
    wait_until(lambda: status_of(task) == TaskStatus.CANCELLED)


def test_whoever_comes_back_with_the_same_key_gets_the_answer(
    front: Front, operator: User, agent: Agent
) -> None:
    path, body = f"/api/v1/agents/{agent.pk}/run", {"prompt": "Say hello."}
    key = {"Idempotency-Key": "once"}
    with client(front, operator, key, timeout=0.5) as lost, pytest.raises(httpx.ReadTimeout):
        lost.post(path, json=body)
    task = begun()
    Run(task).whole()

    status, told = Asking(front, operator, path, body, "once").told()

    assert (status, told["status"], told["task_id"]) == (200, "success", str(task.pk))
    assert Task.objects.count() == 1


def test_what_does_not_end_in_time_is_cancelled(
    front: Front, operator: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GRACE", runs.GRACE / 20)

    status, told = ask(front, operator, agent, timeout_seconds=1).told()

    assert (status, told["status"], told["error_kind"]) == (200, "timeout", "timeout")
    assert told["execution_id"] is None
    assert Task.objects.get().status == TaskStatus.CANCELLED


def test_nobody_waits_for_a_person(front: Front, operator: User, agent: Agent) -> None:
    asking = ask(front, operator, agent, key="once")
    task = begun()
    work = Run(task)
    change(task, status="review")
    relay()

    status, told = asking.told()

    assert (status, told["status"], told["error_kind"]) == (200, "error", "review")
    assert str(task.pk) in told["error"]
    change(task, status="completed")
    assert ask(front, operator, agent, key="once").told()[1]["status"] == "success"
    assert work.claim.task_id == task.pk


def test_a_session_that_ends_takes_its_runs_along(
    front: Front, operator: User, agent: Agent
) -> None:
    asking = ask(front, operator, agent)
    begun()

    session = Session.objects.get(user=operator)
    sessions.log_out(session_id=session.pk, actor=factories.make_actor(operator), now=clock.now())

    assert asking.told()[1]["status"] == "cancelled"


def test_a_process_waits_for_so_many(
    front: Front, operator: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST", 1)
    first = ask(front, operator, agent)
    task = begun()

    refused = ask(front, operator, agent)
    status, told = refused.told()
    Run(task).end()

    assert (status, told["code"]) == (503, "service.unavailable")
    assert refused.answer is not None
    assert refused.answer.headers["retry-after"] == "2"
    assert first.told()[1]["status"] == "success"
    assert Task.objects.count() == 1


def test_a_drain_leaves_the_run_to_its_task(front: Front, operator: User, agent: Agent) -> None:
    asking = ask(front, operator, agent)
    task = begun()
    assert front.watches is not None
    wait_until(lambda: len(front.watches or ()) == 1)

    front.watches.drain()

    status, told = asking.told()
    assert (status, told["status"], told["error_kind"]) == (200, "error", "goes_on")
    assert status_of(task) == TaskStatus.ASSIGNED


def test_agents_answer_by_name(front: Front, operator: User, agent: Agent) -> None:
    asking = Asking(front, operator, "/agents/Reckoner", {"message": "Say hello."})
    task = begun()
    Run(task).whole()
    failing = Asking(front, operator, "/agents/Reckoner/", {"message": "Say hello."})
    Run(begun(2)).end(failed())

    assert asking.told() == (
        200,
        {
            "success": True,
            "data": {"response": "Hello.", "conversationId": str(task.conversation_id)},
        },
    )
    assert failing.told() == (500, {"result": "ERR", "message": "The provider is away."})


def test_by_name_a_run_that_waits_for_a_person_has_not_failed(
    front: Front, operator: User, agent: Agent
) -> None:
    asking = Asking(front, operator, "/agents/Reckoner", {"message": "Say hello."})
    task = begun()
    Run(task)
    change(task, status="review")
    relay()

    follow = f"The run waits for a person. Follow it at /api/v1/tasks/{task.pk}."
    told = {"result": "ERR", "message": follow, "taskId": str(task.pk)}
    assert asking.told() == (409, told)


@pytest.mark.parametrize("path", ["/api/v1/agents/{}/stream", "/agents/Reckoner/stream"])
def test_a_stream_tells_all_of_the_run(
    front: Front, operator: User, agent: Agent, path: str
) -> None:
    with streaming(front, operator, path.format(agent.pk)) as stream:
        first = stream.take(1)[0]
        task = begun()
        work = Run(task)
        work.words("Hel")
        said = stream.until("token")
        work.whole()
        events = stream.rest()

    headers = stream.response.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    assert (first.name, first.data["task_id"]) == ("progress", str(task.pk))
    assert said.data["content"] == "Hel"
    assert [event.name for event in events if event.name != "progress"] == [
        "turn",
        "tool_start",
        "tool_start",
        "tool_result",
        "tool_result",
        "turn",
        "done",
        "complete",
    ]
    assert events[-2].data["content"] == "Hello."
    assert events[-1].data == {
        "status": "success",
        "cost_tokens": 10,
        "cost_usd": "0.00000000",
        "task_id": str(task.pk),
        "execution_id": str(work.claim.execution.pk),
        "conversation_id": str(task.conversation_id),
        "result": "Hello.",
    }


def test_whoever_leaves_a_stream_cancels_the_run(
    front: Front, operator: User, agent: Agent
) -> None:
    with streaming(front, operator, f"/api/v1/agents/{agent.pk}/stream") as stream:
        stream.take(1)
        task = begun()
        Run(task).turn()
        stream.until("turn")

    wait_until(lambda: status_of(task) == TaskStatus.CANCELLED)


def test_a_stream_ends_with_one_error(front: Front, operator: User, agent: Agent) -> None:
    with streaming(front, operator, "/agents/Reckoner/stream") as stream:
        stream.take(1)
        task = begun()
        Run(task)
        change(task, status="review")
        relay()
        waits = stream.rest()
    with streaming(front, operator, "/agents/Reckoner/stream") as stream:
        stream.take(1)
        begun(2)
        session = Session.objects.filter(user=operator).latest("created_at")
        sessions.log_out(
            session_id=session.pk, actor=factories.make_actor(operator), now=clock.now()
        )
        ended = stream.rest()

    assert [event.name for event in waits].count("error") == 1
    assert (waits[-1].name, waits[-1].data["code"]) == ("error", "review")
    assert status_of(task) == TaskStatus.REVIEW
    assert [event.data["code"] for event in ended if event.name == "error"] == ["cancelled"]


def test_a_stream_does_not_outlast_its_run(
    front: Front, operator: User, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GRACE", runs.GRACE / 20)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.3)
    body = {"prompt": "Say hello.", "timeout_seconds": 1}
    path = f"/api/v1/agents/{agent.pk}/stream"
    with client(front, operator) as asking, asking.stream("POST", path, json=body) as response:
        stream = Stream(response)
        end = stream.rest()[-1]

    assert (end.name, end.data["status"], end.data["code"]) == ("error", "timeout", "timeout")
    assert stream.comments > 1
    assert Task.objects.get().status == TaskStatus.CANCELLED
