"""Sockets, streams and exports are requests: they are counted like all others, once."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings
from redis.exceptions import RedisError
from websockets.exceptions import InvalidStatus

from accounts.models import User
from agents.models import Agent
from kernel import redis_client
from kernel.http import limits
from kernel.http.limits import Budget
from tests.accounts import factories
from tests.agents.factories import make_agent
from tests.hub.front import runs
from tests.hub.front.peer import Front
from tests.hub.front.taking import PATH, bearer

pytestmark = pytest.mark.django_db(transaction=True)
ME = "/api/v1/auth/me"


@pytest.fixture(autouse=True)
def _small_limits(settings: Settings) -> Iterator[None]:
    settings.HUB_RATE_LIMITS = {"ip": 4}
    limits._refused.clear()
    limits._silence.until = 0.0
    yield
    limits._refused.clear()


@pytest.fixture
def agent(admin: User) -> Agent:
    """An agent of the administrator's organization."""
    return make_agent(admin.organization)


@pytest.fixture
def task_path(agent: Agent) -> str:
    """The stream of a task that has ended."""
    task = runs.make_task(agent)
    runs.Run(task).whole()
    return f"/api/v1/tasks/{task.pk}/stream"


def ask(front: Front, path: str, headers: dict[str, str], **query: str) -> httpx.Response:
    url = f"http://127.0.0.1:{front.port}{path}"
    return httpx.get(url, headers=headers, params=query, timeout=30, trust_env=False)


def standing(answer: Any) -> tuple[int, int, int]:
    """Status, limit and what is left of it."""
    limit, left = (int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining"))
    return answer.status_code, limit, left


def spend(user: User) -> None:
    """Take all that a person has for this minute."""
    for _ in range(limits.PER_USER):
        limits.count([Budget("user", str(user.pk), limits.PER_USER)])


def test_all_doors_take_from_one_budget(front: Front, admin: User, task_path: str) -> None:
    me = bearer(admin)

    answers = [ask(front, path, me) for path in (ME, task_path, PATH)]
    with front.client(admin):
        pass
    refused = [ask(front, path, me) for path in (task_path, PATH, ME)]

    assert [standing(answer) for answer in answers] == [(200, 4, left) for left in (3, 2, 1)]
    for answer in refused:
        assert standing(answer) == (429, 4, 0)
        assert answer.json()["code"] == "rate.limited"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"]


def test_a_socket_too_many_is_refused_before_the_upgrade(front: Front, admin: User) -> None:
    for _ in range(4):
        with front.client(admin):
            pass

    for _ in range(2):  # as Redis counts it, and as the process remembers it
        with pytest.raises(InvalidStatus) as refused, front.connect():
            pass
        answer = refused.value.response
        assert standing(answer) == (429, 4, 0)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert b'"code":"rate.limited"' in (answer.body or b"")


def test_a_long_connection_is_counted_once(front: Front, admin: User) -> None:
    with front.client(admin) as client:
        for _ in range(20):
            assert client.ask(type="ping")[0] == "pong"

    assert standing(ask(front, ME, bearer(admin))) == (200, 4, 2)


def test_a_person_who_asked_too_often_gets_no_socket_elsewhere(
    front: Front, admin: User, settings: Settings, task_path: str
) -> None:
    settings.HUB_RATE_LIMITS = {"ip": 10_000}
    token = factories.make_token(admin)
    spend(admin)

    with front.connect() as by_message, front.connect(f"?token={token}") as by_query:
        by_message.say(type="auth", token=token)
        codes = by_message.close_code(), by_query.close_code()
    answers = [ask(front, path, bearer(admin)) for path in (task_path, PATH)]

    assert codes == (4429, 4429)
    assert [standing(answer) for answer in answers] == [(429, limits.PER_USER, 0)] * 2


def test_who_is_nobody_is_counted_by_address(front: Front, task_path: str) -> None:
    junk = {"Authorization": "Bearer nonsense"}

    answers = [ask(front, path, junk) for path in (task_path, PATH, task_path, PATH, PATH)]
    without = ask(front, PATH, {})

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401]
    assert standing(answers[3]) == (401, 4, 0)
    assert standing(without) == (429, 4, 0)


def test_a_refusal_says_how_the_budget_stands(
    front: Front, operator: User, admin: User, task_path: str
) -> None:
    nowhere = task_path.replace("/stream", "0/stream")

    answers = [
        ask(front, PATH, bearer(operator)),
        ask(front, PATH, bearer(admin), since="x"),
        ask(front, nowhere, bearer(admin)),
    ]

    assert [standing(answer) for answer in answers] == [(403, 4, 3), (422, 4, 2), (422, 4, 1)]


def test_without_redis_nobody_is_counted(
    front: Front, admin: User, task_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RedisError

    monkeypatch.setattr(limits, "_run", broken)

    for _ in range(6):
        with front.client(admin):
            pass
        for path in (task_path, PATH):
            answer = ask(front, path, bearer(admin))
            assert answer.status_code == 200
            assert "x-ratelimit-limit" not in answer.headers


def test_limits_that_are_off_ask_nobody(front: Front, admin: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {}

    for _ in range(6):
        with front.client(admin):
            pass

    assert redis_client.client().keys("hub:limit:*") == []
