"""`/api/v1/limits` over HTTP."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from limits.clients import rates
from limits.models import LimitRule
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.limits.factories import make_limit, take
from tests.tasks.factories import claim_all, make_task

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
LIMITS = "/api/v1/limits"


def test_a_rule_is_made_changed_and_deleted(api: Api, admin: User) -> None:
    client = api(admin)

    made = client.post(LIMITS, {"scope": "provider", "name": "openai", "requests_per_minute": 60})
    place = f"{LIMITS}/{made.json()['id']}"
    changes = {"requests_per_minute": None, "max_concurrent": 4}
    changed = client.patch(place, changes)
    read = client.get(place)
    deleted = client.delete(place)

    assert (made.status_code, changed.status_code, deleted.status_code) == (201, 200, 204)
    assert {key: read.json()[key] for key in changes} == changes
    assert client.get(place).status_code == 404
    rows = AuditEvent.objects.filter(resource_type="limit").order_by("pk")
    assert [row.action for row in rows] == ["limit.create", "limit.update", "limit.delete"]
    assert rows[1].details == {
        "scope": "provider",
        "name": "openai",
        "changes": {"requests_per_minute": [60, None], "max_concurrent": [None, 4]},
    }


def test_they_are_listed_with_what_is_used(
    api: Api, admin: User, organization: Organization
) -> None:
    agent = make_agent(organization, max_concurrent_tasks=9)
    for key in ("a", "a", "b", ""):
        make_task(organization, agent=agent, concurrency_key=key)
    claim_all()
    make_limit(organization, name="*", max_concurrent=5)
    make_limit(organization, name="a", max_concurrent=4, requests_per_minute=3)
    make_limit(organization, scope="provider", name="demo", tokens_per_minute=99)
    take(organization, ("key", "a"), ("provider", "demo"), tokens=7)

    items = api(admin).get(LIMITS).json()["items"]

    shown = [
        (i["scope"], i["name"], i["running"], i["requests_in_minute"], i["tokens_in_minute"])
        for i in items
    ]
    assert shown == [
        ("key", "*", 1, None, None),
        ("key", "a", 2, 1, 7),
        ("provider", "demo", 4, 1, 7),
    ]
    assert {item["counting"] for item in items} == {True}


def test_without_redis_the_list_says_that_nothing_counts(
    api: Api, admin: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_limit(organization, requests_per_minute=1)
    monkeypatch.setattr(rates._silence, "until", float("inf"))

    (item,) = api(admin).get(LIMITS).json()["items"]

    assert (item["counting"], item["requests_in_minute"]) == (False, None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": "key", "name": "a"},
        {"scope": "key", "name": "a", "max_concurrent": None},
        {"scope": "key", "name": "", "max_concurrent": 1},
        {"scope": "key", "name": "x" * 129, "max_concurrent": 1},
        {"scope": "team", "name": "a", "max_concurrent": 1},
        {"scope": "agent", "name": "Reckoner", "max_concurrent": 1},
        {"scope": "agent", "name": str(uuid4()), "max_concurrent": 1},
        {"scope": "provider", "name": "opnai", "max_concurrent": 1},
        {"scope": "key", "name": "a", "max_concurrent": 0},
        {"scope": "key", "name": "a", "requests_per_minute": 100_001},
        {"scope": "key", "name": "a", "tokens_per_minute": "many"},
        {"scope": "key", "name": "a", "max_concurent": 1},
    ],
)
def test_bad_rules_are_refused(api: Api, admin: User, body: dict[str, Any]) -> None:
    answer = api(admin).post(LIMITS, body)

    assert answer.status_code == 422
    assert not LimitRule.objects.exists()


def test_a_second_rule_of_the_same_name_is_409(
    api: Api, admin: User, organization: Organization
) -> None:
    name = str(make_agent(organization).pk)
    body = {"scope": "agent", "name": name.upper(), "max_concurrent": 1}

    answers = [api(admin).post(LIMITS, body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 409]
    assert answers[0].json()["name"] == name
    assert answers[1].json()["code"] == "limit.exists"


def test_the_last_limit_of_a_rule_stays(api: Api, admin: User, organization: Organization) -> None:
    rule = make_limit(organization, max_concurrent=2)

    answer = api(admin).patch(f"{LIMITS}/{rule.pk}", {"max_concurrent": None})

    rule.refresh_from_db()
    assert (answer.status_code, rule.max_concurrent) == (422, 2)


def test_rules_of_others_and_people_who_may_not(
    api: Api, admin: User, operator: User, other_organization: Organization
) -> None:
    rule = make_limit(other_organization, max_concurrent=2)
    place = f"{LIMITS}/{rule.pk}"

    assert api(operator).get(LIMITS).status_code == 403
    for answer in (
        api(admin).get(place),
        api(admin).patch(place, {"max_concurrent": 9}),
        api(admin).delete(place),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "limit.not_found")
    assert LimitRule.objects.get().max_concurrent == 2
