"""Rate limits over HTTP (contract 003 B0)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings
from redis.exceptions import RedisError

from accounts.models import User
from kernel import redis_client
from kernel.http import limits
from kernel.http.limits import Budget
from preferences import operations as preferences
from tests.accounts.factories import PASSWORD, make_actor
from tests.clients import ApiClient
from tests.threads import race

Api = Callable[[User | None], ApiClient]
ME = "/api/v1/auth/me"
LOGIN = "/api/v1/auth/login"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_limits(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"ip": 6, "login": 2, "register": 1}
    limits._refused.clear()
    limits._silence.until = 0.0


def standing(answer: Any) -> tuple[int, int, int]:
    """Status, limit and what is left of it."""
    return (
        answer.status_code,
        int(answer["X-RateLimit-Limit"]),
        int(answer["X-RateLimit-Remaining"]),
    )


def test_an_address_has_its_number_of_requests(api: Api, viewer: User) -> None:
    client = api(viewer)

    answers = [client.get(ME) for _ in range(8)]

    assert [standing(answer) for answer in answers] == [
        *((200, 6, left) for left in range(5, -1, -1)),
        (429, 6, 0),
        (429, 6, 0),
    ]
    refused = answers[-1]
    assert refused.json()["code"] == "rate.limited"
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["Retry-After"] == refused["X-RateLimit-Reset"]
    assert refused["Content-Type"] == "application/problem+json"


def test_after_the_minute_it_has_them_again(api: Api, viewer: User) -> None:
    client = api(viewer)
    for _ in range(8):
        client.get(ME)

    redis = redis_client.client()
    redis.delete(*redis.keys("hub:limit:*"))
    limits._refused.clear()

    assert standing(client.get(ME)) == (200, 6, 5)


def test_what_never_reaches_a_view_counts_too(api: Api) -> None:
    junk = Client(headers={"Authorization": "Bearer nonsense"})

    statuses = [junk.get(ME).status_code for _ in range(4)]
    statuses += [junk.get("/api/v1/nowhere").status_code for _ in range(3)]
    statuses += [junk.post("/api/v1/tasks", b"{", content_type="text/plain").status_code]

    assert statuses == [401, 401, 401, 401, 404, 404, 404, 429]


def test_another_address_is_not_held_up(api: Api, viewer: User) -> None:
    client = api(viewer)
    for _ in range(8):
        client.get(ME)

    answer = client._client.get(ME, REMOTE_ADDR="192.0.2.1")

    assert standing(answer) == (200, 6, 5)


def test_a_person_has_a_limit_of_their_own(
    api: Api, viewer: User, operator: User, settings: Settings
) -> None:
    settings.HUB_RATE_LIMITS = {"ip": 10_000, "login": 2, "register": 1}
    preferences.change(
        organization_id=viewer.organization_id,
        values={"security.rate_limit_user": 30},
        actor=make_actor(viewer),
        now=viewer.created_at,
    )
    client = api(viewer)

    answers = [client.get(ME) for _ in range(31)]
    elsewhere = client._client.get(ME, REMOTE_ADDR="192.0.2.1")

    assert standing(answers[29]) == (200, 30, 0)
    assert standing(answers[30]) == (429, 30, 0)
    assert elsewhere.status_code == 429
    assert api(operator).get(ME).status_code == 200


def test_logins_have_a_smaller_one(api: Api, viewer: User) -> None:
    wrong = {"email": viewer.email, "password": "not the right one"}
    right = {"email": viewer.email, "password": PASSWORD}

    answers = [api(None).post(LOGIN, body) for body in (wrong, wrong, right)]

    assert [standing(answer) for answer in answers] == [(401, 2, 1), (401, 2, 0), (429, 2, 0)]
    assert api(viewer).get(ME).status_code == 200


def test_the_consoles_login_counts_as_one(api: Api, viewer: User) -> None:
    client = Client()
    right = {"username": viewer.email, "password": PASSWORD}

    pages = [client.post("/admin/login/", {"username": "x", "password": "y"}) for _ in range(2)]
    refused = client.post("/admin/login/", right)

    assert [page.status_code for page in pages] == [200, 200]
    assert refused.status_code == 429
    assert api(None).post(LOGIN, right).status_code == 429
    assert client.get("/admin/login/").status_code == 200


def test_probes_and_files_are_not_counted(client: Client) -> None:
    for _ in range(10):
        assert client.get("/healthz").status_code == 200

    assert "X-RateLimit-Limit" not in client.get("/healthz")
    assert redis_client.client().keys("hub:limit:*") == []


def test_nobody_slips_through_between_two(viewer: User) -> None:
    budget = Budget("test", "someone", 10)

    found = race(*[lambda: limits.count([budget])[0].is_spent] * 20)

    assert sorted(found) == [False] * 10 + [True] * 10


def test_without_redis_requests_go_on(
    api: Api, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(viewer)

    def broken(*_: Any, **__: Any) -> Any:
        raise RedisError

    monkeypatch.setattr(limits, "_run", broken)
    answers = [client.get(ME) for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200}
    assert "X-RateLimit-Limit" not in answers[0]


def test_they_can_be_switched_off(api: Api, viewer: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {}
    client = api(viewer)

    assert {client.get(ME).status_code for _ in range(10)} == {200}


def test_a_counter_that_lost_its_end_gets_one() -> None:
    budget = Budget("test", "someone", 10)
    redis_client.client().set(budget.key, 3)

    found = limits.count([budget])

    assert [(one.count, one.reset_seconds) for one in found] == [(4, 60)]


def test_a_restarted_server_learns_the_script_again() -> None:
    redis_client.client().script_flush()

    assert [one.count for one in limits.count([Budget("test", "a", 1)])] == [1]
