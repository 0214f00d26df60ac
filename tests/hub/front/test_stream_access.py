"""Who may watch a task, and for how long."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.db import OperationalError

from accounts.models import Session, User
from accounts.operations import sessions
from agents.models import Agent
from hub.front import callers
from kernel import clock
from tasks.models import Task
from tests.accounts import factories
from tests.agents.factories import make_agent
from tests.hub.front import sse
from tests.hub.front.peer import Front
from tests.hub.front.runs import Run, make_task
from tests.hub.front.test_auth import almost_over

pytestmark = pytest.mark.django_db(transaction=True)
REFUSED = "auth.token_refused"


@pytest.fixture
def agent(viewer: User) -> Agent:
    """An agent of the viewer's organization."""
    return make_agent(viewer.organization)


@pytest.fixture
def task(agent: Agent) -> Task:
    """A task that waits."""
    return make_task(agent)


def ask(front: Front, task_id: object, authorization: str = "", *, method: str = "GET") -> Any:
    """The refusal: its status, its headers, its document."""
    url = f"http://127.0.0.1:{front.port}/api/v1/tasks/{task_id}/stream"
    headers = {"Authorization": authorization} if authorization else {}
    answer = httpx.request(method, url, headers=headers, timeout=10, trust_env=False)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return answer


def bearer(user: User) -> str:
    return f"Bearer {factories.make_token(user)}"


@pytest.mark.parametrize(
    ("header", "code"),
    [("", "auth.required"), ("Bearer a.b.c", REFUSED), ("Basic eDp5", REFUSED), ("x", REFUSED)],
)
def test_strangers_are_refused_before_the_id_is_looked_at(
    front: Front, header: str, code: str
) -> None:
    for task_id in (uuid4(), "junk"):
        answer = ask(front, task_id, header)

        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_another_organizations_task_is_not_found(
    front: Front, stranger: User, viewer: User, task: Task
) -> None:
    assert ask(front, task.pk, bearer(stranger)).status_code == 404
    assert ask(front, uuid4(), bearer(viewer)).status_code == 404


def test_not_found_comes_before_forbidden_before_malformed(
    front: Front, viewer: User, task: Task, withdraw: Callable[[str], None]
) -> None:
    malformed = ask(front, "1.2", bearer(viewer))
    withdraw("task.read")

    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (422, "id")
    assert ask(front, uuid4(), bearer(viewer)).status_code == 404
    assert ask(front, task.pk, bearer(viewer)).json()["code"] == "permission.denied"
    assert ask(front, "1.2", bearer(viewer)).status_code == 403


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_stream_can_only_be_read(front: Front, viewer: User, task: Task, method: str) -> None:
    answer = ask(front, task.pk, bearer(viewer), method=method)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert ask(front, task.pk, method=method).status_code == 401


def test_whoever_may_read_tasks_needs_no_right_to_events(
    front: Front,
    viewer: User,
    task: Task,
    withdraw: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    withdraw("event.read")
    checks, list_present = threading.Semaphore(0), callers.list_present

    def count(**arguments: Any) -> Any:
        checks.release()
        return list_present(**arguments)

    monkeypatch.setattr(callers, "list_present", count)

    with sse.watch(front, viewer, task) as stream:
        assert checks.acquire(timeout=10)
        assert checks.acquire(timeout=10)
        Run(task).whole()

        assert stream.until("complete")


def test_logging_out_ends_the_stream(front: Front, viewer: User, task: Task) -> None:
    with sse.watch(front, viewer, task) as stream:
        stream.take(1)
        sessions.log_out(
            session_id=Session.objects.get().pk,
            actor=factories.make_actor(viewer),
            now=clock.now(),
        )
        events = stream.rest()

    assert [(event.name, event.data["code"]) for event in events] == [("error", REFUSED)]


def test_a_lost_permission_ends_the_stream(
    front: Front, viewer: User, task: Task, withdraw: Callable[[str], None]
) -> None:
    with sse.watch(front, viewer, task) as stream:
        stream.take(1)
        withdraw("task.read")

        assert [event.name for event in stream.rest()] == ["error"]


def test_an_expired_token_ends_the_stream(
    front: Front, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sse.watch(front, viewer, task, token=almost_over(viewer, monkeypatch)) as stream:
        events = stream.rest()

    assert events[-1].data == {
        "code": REFUSED,
        "message": "The token has expired. Log in again.",
    }


@pytest.mark.parametrize("question", ["callers.identify", "history.resume"])
def test_without_a_database_a_new_stream_is_told_to_try_again(
    front: Front, viewer: User, task: Task, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    def fail(**_: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(f"hub.front.{question}", fail)

    assert ask(front, task.pk, bearer(viewer)).status_code == 503
