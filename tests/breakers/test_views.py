"""`/api/v1/circuit-breakers` over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from breakers.choices import Outcome
from breakers.clients import states
from breakers.models import CircuitBreaker
from tests.breakers.factories import NAME, call, make_breaker
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
BREAKERS = "/api/v1/circuit-breakers"


def test_they_are_listed_by_name(api: Api, admin: User, organization: Organization) -> None:
    make_breaker(organization, name="host:b.example.com")
    make_breaker(organization, name="host:a.example.com", failure_threshold=2)
    call(organization, Outcome.FAILURE, name="host:a.example.com")
    call(organization, Outcome.SUCCESS, name="host:a.example.com")

    body = api(admin).get(BREAKERS).json()

    first = body["items"][0]
    assert [item["service"] for item in body["items"]] == [
        "host:a.example.com",
        "host:b.example.com",
    ]
    assert first.pop("last_failure")
    assert first == {
        "service": "host:a.example.com",
        "state": "closed",
        "forced": False,
        "failure_count": 1,
        "total_successes": 1,
        "total_failures": 1,
        "success_rate": 0.5,
        "since": None,
        "counting": True,
        "failure_threshold": 2,
        "window_seconds": 120,
        "recovery_timeout_seconds": 60,
        "success_threshold": 3,
        "trial_timeout_seconds": 300,
    }
    assert (body["total"], body["items"][1]["success_rate"]) == (2, None)


def test_without_redis_the_list_says_that_nothing_counts(
    api: Api, admin: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization)
    monkeypatch.setattr(states._silence, "until", float("inf"))

    (item,) = api(admin).get(BREAKERS).json()["items"]

    assert (item["state"], item["counting"]) == ("closed", False)


def test_a_post_makes_one_and_then_changes_it(api: Api, admin: User) -> None:
    client = api(admin)

    made = client.post(BREAKERS, {"name": NAME, "failure_threshold": 2})
    changed = client.post(BREAKERS, {"name": NAME, "window_seconds": 30})
    same = client.post(BREAKERS, {"name": NAME, "window_seconds": 30})

    assert (made.status_code, changed.status_code, same.status_code) == (201, 200, 200)
    limits = {key: changed.json()[key] for key in ("failure_threshold", "window_seconds")}
    assert limits == {"failure_threshold": 2, "window_seconds": 30}
    actions = AuditEvent.objects.filter(resource_type="breaker").order_by("pk")
    assert [row.action for row in actions] == ["breaker.create", "breaker.update"]
    assert actions[1].details == {"name": NAME, "changes": {"window_seconds": [120, 30]}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "Provider"},
        {"name": "a b"},
        {"name": "a/b"},
        {"name": "x" * 129},
        {"name": "host:api.example.com:443"},
        {"name": "host:api.example.com."},
        {"name": "host:"},
        {"name": NAME, "failure_treshold": 1},
        {"name": NAME, "failure_threshold": 0},
        {"name": NAME, "failure_threshold": 1001},
        {"name": NAME, "window_seconds": -1},
        {"name": NAME, "recovery_timeout_seconds": 86_401},
        {"name": NAME, "success_threshold": "many"},
        {"name": NAME, "trial_timeout_seconds": None},
    ],
)
def test_bad_limits_are_refused(api: Api, admin: User, body: dict[str, Any]) -> None:
    answer = api(admin).post(BREAKERS, body)

    assert answer.status_code == 422
    assert not CircuitBreaker.objects.exists()


def test_the_switches(api: Api, admin: User, organization: Organization) -> None:
    make_breaker(organization, failure_threshold=1)
    client = api(admin)

    seen = []
    for switch in ("force-open", "force-open", "force-close"):
        answer = client.post(f"{BREAKERS}/{NAME}/{switch}").json()
        seen.append((answer["state"], call(organization, Outcome.SUCCESS)))
    reset = client.post(f"{BREAKERS}/{NAME}/reset").json()

    assert reset == {
        "service": NAME,
        "state": "closed",
        "counting": True,
        "message": "Closed; what was counted is forgotten.",
    }
    assert seen == [("open", False), ("open", False), ("closed", True)]
    actions = AuditEvent.objects.filter(resource_type="breaker").order_by("pk")
    assert [row.action for row in actions][1:] == [
        "breaker.force_open",
        "breaker.force_close",
        "breaker.reset",
    ]


def test_without_redis_a_switch_says_that_it_comes_later(
    api: Api, admin: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization)
    monkeypatch.setattr(states._silence, "until", float("inf"))

    answer = api(admin).post(f"{BREAKERS}/{NAME}/force-open").json()

    assert (answer["state"], answer["counting"]) == ("open", False)
    assert answer["message"].endswith("workers follow some seconds after it does.")


def test_names_that_nobody_knows_and_those_of_others_are_404(
    api: Api, admin: User, other_organization: Organization
) -> None:
    make_breaker(other_organization)

    for name in (NAME, "nobody", "a%2Fb", "a%00b"):
        for switch in ("force-open", "force-close", "reset"):
            assert api(admin).post(f"{BREAKERS}/{name}/{switch}").status_code == 404
    assert CircuitBreaker.objects.get().forced == ""


def test_operators_do_not_switch(api: Api, operator: User, organization: Organization) -> None:
    make_breaker(organization)

    assert api(operator).get(BREAKERS).status_code == 403
    assert api(operator).post(f"{BREAKERS}/{NAME}/force-open").status_code == 403
