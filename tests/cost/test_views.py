"""`/api/v1/cost`, `/budgets` and `/prices` over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from cost.models import Budget, ModelPrice
from cost.operations import rollup
from kernel import clock
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.cost.factories import Call, make_budget, make_price, record

Api = Callable[[User | None], ApiClient]
BUDGET = "/api/v1/cost/budget"
BUDGETS = "/api/v1/budgets"
PRICES = "/api/v1/prices"
LIMIT = {"scope": "agent", "period": "day", "limit_usd": "2.5"}
PRICE = {"provider": "openai", "model": "llama*", "input_usd": "0.1", "output_usd": "0"}


def test_without_a_budget_the_spending_is_told(
    api: Api, viewer: User, organization: Organization
) -> None:
    record(organization, now=clock.now())

    found = api(viewer).get(BUDGET).json()

    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert found.pop("month_start") == month.isoformat().replace("+00:00", "Z")
    assert found.pop("resets_at")
    assert found == {
        "has_budget": False,
        "monthly_limit": None,
        "current_spend": "3.50000000",
        "reserved": "0.00000000",
        "remaining": None,
        "percent_used": None,
        "alert_thresholds": [80, 90, 100],
        "is_over_budget": False,
        "is_hard": False,
    }


def test_a_budget_is_set_and_replaced(api: Api, admin: User, organization: Organization) -> None:
    client = api(admin)
    record(organization, now=clock.now())

    client.put(BUDGET, {"monthly_limit": "7"})
    client.put(BUDGET, {"monthly_limit": "7.00000000"})
    found = client.put(
        BUDGET, {"monthly_limit_usd": 3, "alert_thresholds": [50], "is_hard": True}
    ).json()

    assert {name: found[name] for name in ("monthly_limit", "remaining", "percent_used")} == {
        "monthly_limit": "3.00000000",
        "remaining": "0.00000000",
        "percent_used": 116.67,
    }
    assert (found["is_over_budget"], found["is_hard"]) == (True, True)
    assert [(int(b.limit_usd), b.is_active) for b in Budget.objects.order_by("created_at")] == [
        (7, False),
        (3, True),
    ]
    assert AuditEvent.objects.filter(action="budget.create").count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"monthly_limit": -1},
        {"monthly_limit": "much"},
        {"monthly_limit": 1, "monthly_limit_usd": 1},
        {"monthly_limit": 1, "limit": 1},
        {"monthly_limit": "12345678901"},
        {"monthly_limit": 1, "alert_thresholds": [90, 80]},
        {"monthly_limit": 1, "alert_thresholds": [80, 80]},
        {"monthly_limit": 1, "alert_thresholds": [0]},
        {"monthly_limit": 1, "alert_thresholds": [101]},
        {"monthly_limit": 1, "alert_thresholds": "80"},
        {"monthly_limit": 1, "alert_thresholds": list(range(1, 12))},
        {"monthly_limit": 1, "is_hard": "perhaps"},
    ],
)
def test_bad_monthly_budgets_are_refused(api: Api, admin: User, body: dict[str, Any]) -> None:
    assert api(admin).put(BUDGET, body).status_code == 422
    assert not Budget.objects.exists()


def test_days_without_a_call_are_zeros(api: Api, viewer: User, organization: Organization) -> None:
    now = clock.now()
    record(organization, now=now - timedelta(days=2))
    rollup.roll_usage()
    record(organization, now=now - timedelta(days=2), provider="anthropic", model="unknown")
    record(organization, now=now - timedelta(days=3))

    found = api(viewer).get("/api/v1/cost/daily", days=3).json()

    first, second, third = found["items"]
    assert (found["days"], found["total"]) == (3, "3.50000000")
    assert first == {
        "date": str((now - timedelta(days=2)).date()),
        "total_cost": "3.50000000",
        "by_provider": {
            "anthropic": {
                "cost": "0.00000000",
                "input_tokens": 1_000_000,
                "output_tokens": 100_000,
            },
            "openai": {
                "cost": "3.50000000",
                "input_tokens": 1_000_000,
                "output_tokens": 100_000,
            },
        },
        "request_count": 2,
        "unpriced_calls": 1,
    }
    assert (second["total_cost"], second["by_provider"]) == ("0.00000000", {})
    assert third["date"] == str(now.date())


def test_agents_and_providers_are_added_up(
    api: Api, viewer: User, organization: Organization
) -> None:
    agent_id = make_agent(organization, name="Clerk").pk
    for number in range(3):
        record(organization, agent_id=agent_id if number else None, now=clock.now())
    client = api(viewer)

    agents = client.get("/api/v1/cost/by-agent").json()
    (provider,) = client.get("/api/v1/cost/by-provider", days=1).json()["items"]

    assert [(i["agent_id"], i["agent_name"], i["total_cost"]) for i in agents["items"]] == [
        (str(agent_id), "Clerk", "7.00000000"),
        (None, "", "3.50000000"),
    ]
    assert (agents["total"], agents["count"], agents["period_days"]) == ("10.50000000", 2, 30)
    assert provider == {
        "provider": "openai",
        "total_cost": "10.50000000",
        "input_tokens": 3_000_000,
        "output_tokens": 300_000,
        "request_count": 3,
        "unpriced_calls": 0,
        "avg_cost_per_request": "3.50000000",
    }


def test_the_summary(api: Api, viewer: User, organization: Organization) -> None:
    now = clock.now()
    for days in (0, 29, 29, 30):
        record(organization, now=now - timedelta(days=days))

    found = api(viewer).get("/api/v1/cost/summary").json()

    assert found.pop("budget")["has_budget"] is False
    assert found == {
        "total_30_days": "10.50000000",
        "daily_average": "5.25000000",
        "days_with_data": 2,
        "unpriced_calls": 0,
    }


def test_an_empty_ledger_has_reports(api: Api, viewer: User) -> None:
    client = api(viewer)

    assert client.get("/api/v1/cost/by-agent").json() == {
        "items": [],
        "period_days": 30,
        "total": "0.00000000",
        "count": 0,
    }
    assert client.get("/api/v1/cost/summary").json()["daily_average"] == "0.00000000"
    assert len(client.get("/api/v1/cost/daily", days=1000).json()["items"]) == 366


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", ""])
@pytest.mark.parametrize("report", ["daily", "by-agent", "by-provider"])
def test_bad_numbers_of_days_are_refused(api: Api, viewer: User, report: str, days: str) -> None:
    assert api(viewer).get(f"/api/v1/cost/{report}", days=days).status_code == 422


def test_the_reports_are_the_organizations_own(
    api: Api, viewer: User, other_organization: Organization
) -> None:
    record(other_organization, now=clock.now())
    rollup.roll_usage()
    record(other_organization, now=clock.now())

    assert api(viewer).get("/api/v1/cost/summary").json()["total_30_days"] == "0.00000000"


def test_a_budget_lives(api: Api, admin: User, organization: Organization) -> None:
    client, agent_id, now = api(admin), make_agent(organization).pk, clock.now()
    made = client.post(BUDGETS, LIMIT | {"subject_id": str(agent_id), "is_hard": True})
    record(organization, agent_id=agent_id, now=now, model="gpt-4o-mini")
    Call(organization.pk, agent_id=agent_id, now=now).reserve()
    path = f"{BUDGETS}/{made.json()['id']}"

    found = client.get(path).json()
    changed = client.patch(path, {"limit_usd": "0.105", "alert_thresholds": []}).json()
    removed = client.delete(path)

    assert made.status_code == 201
    assert {name: found[name] for name in ("spent_usd", "reserved_usd", "remaining_usd")} == {
        "spent_usd": "0.21000000",
        "reserved_usd": "0.00350000",
        "remaining_usd": "2.29000000",
    }
    assert (found["subject_id"], found["percent_used"]) == (str(agent_id), 8.4)
    assert (changed["percent_used"], changed["is_over_budget"]) == (200.0, True)
    assert removed.status_code == 204
    assert client.get(path).json()["is_active"] is False
    actions = AuditEvent.objects.filter(resource_type="budget").order_by("pk")
    assert [row.action for row in actions] == ["budget.create", "budget.update", "budget.remove"]
    assert actions[1].details["changes"] == {
        "limit_usd": ["2.50000000", "0.10500000"],
        "alert_thresholds": [[80, 90, 100], []],
    }


def test_a_budget_of_each_has_no_sums_of_its_own(api: Api, admin: User) -> None:
    found = api(admin).post(BUDGETS, LIMIT).json()

    assert (found["subject_id"], found["spent_usd"], found["percent_used"]) == (None, None, None)
    assert found["resets_at"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        (LIMIT | {"scope": "everything"}, 422),
        (LIMIT | {"period": "week"}, 422),
        (LIMIT | {"limit_usd": -1}, 422),
        (LIMIT | {"subject_id": "x"}, 422),
        (LIMIT | {"subject_id": str(uuid4())}, 422),
        (LIMIT | {"scope": "task", "subject_id": str(uuid4())}, 422),
        (LIMIT | {"colour": "red"}, 422),
        (LIMIT | {"scope": "organization", "subject_id": str(uuid4())}, 422),
        (LIMIT | {"scope": "run"}, 422),
        (LIMIT, 409),
    ],
)
def test_bad_budgets_are_refused(
    api: Api, admin: User, organization: Organization, body: dict[str, Any], status: int
) -> None:
    make_budget(organization, scope="agent", period="day")

    assert api(admin).post(BUDGETS, body).status_code == status
    assert Budget.objects.count() == 1


def test_one_that_was_removed_does_not_come_back_beside_another(
    api: Api, admin: User, organization: Organization
) -> None:
    client = api(admin)
    removed = make_budget(organization)
    client.put(BUDGET, {"monthly_limit": 1})

    answer = client.patch(f"{BUDGETS}/{removed.pk}", {"is_active": True})

    assert (answer.status_code, answer.json()["code"]) == (409, "budget.exists")


def test_budgets_are_filtered(api: Api, viewer: User, organization: Organization) -> None:
    make_budget(organization)
    agents = make_budget(organization, scope="agent")

    found = api(viewer).get(BUDGETS, scope="agent", is_active="true").json()

    assert [item["id"] for item in found["items"]] == [str(agents.pk)]


def test_the_daily_limit_of_an_agent_follows_its_versions(api: Api, admin: User) -> None:
    client = api(admin)
    agent = make_agent(admin.organization, daily_budget_usd=Decimal("2.5"))
    path = f"/api/v1/agents/{agent.pk}"

    def limits() -> list[tuple[Any, ...]]:
        shown = client.get(BUDGETS, source="version", is_active="true").json()["items"]
        return [(each["subject_id"], each["period"], each["limit_usd"]) for each in shown]

    first = limits()
    (shown,) = client.get(BUDGETS).json()["items"]
    client.patch(path, {"daily_budget_usd": "1"})
    second = limits()
    client.post(f"{path}/versions/1/rollback", {})
    third = limits()
    refused = [
        client.patch(f"{BUDGETS}/{shown['id']}", {"limit_usd": "9"}),
        client.delete(f"{BUDGETS}/{shown['id']}"),
    ]
    client.delete(path)

    assert first == third == [(str(agent.pk), "day", "2.50000000")]
    assert second == [(str(agent.pk), "day", "1.00000000")]
    assert (shown["source"], shown["is_hard"]) == ("version", True)
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [
        (409, "budget.of_version"),
    ] * 2
    assert limits() == []


def test_a_price_lives(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(PRICES, PRICE)
    path = f"{PRICES}/{made.json()['id']}"

    changed = client.patch(path, {"output_usd": "0.4"}).json()
    removed = client.delete(path)

    assert made.status_code == 201
    assert (changed["input_usd"], changed["output_usd"]) == ("0.10000000", "0.40000000")
    assert removed.status_code == 204
    assert client.get(path).status_code == 404
    actions = AuditEvent.objects.filter(resource_type="price").order_by("pk")
    assert [row.action for row in actions] == ["price.create", "price.update", "price.delete"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        (PRICE | {"provider": "Open AI"}, 422),
        (PRICE | {"provider": "demo"}, 422),
        (PRICE | {"model": "100%"}, 422),
        (PRICE | {"model": "back\\slash"}, 422),
        (PRICE | {"input_usd": "-0.1"}, 422),
        (PRICE | {"output_usd": None}, 422),
        (PRICE | {"currency": "EUR"}, 422),
        (PRICE, 409),
    ],
)
def test_bad_prices_are_refused(
    api: Api, admin: User, organization: Organization, body: dict[str, Any], status: int
) -> None:
    make_price(organization)

    assert api(admin).post(PRICES, body).status_code == status
    assert ModelPrice.objects.get().input_usd == Decimal(1)
