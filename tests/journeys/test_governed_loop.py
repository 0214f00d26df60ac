"""The governed loop, with real processes: tools of real servers, a budget, a person's word."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.journeys import hubs
from tests.journeys.governed import Scene, governed


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub and the servers around it."""
    with governed(hubs.started_before(tmp_path_factory, "governed")) as found:
        yield found


def test_a_task_waits_for_money_then_for_a_person_and_is_done_once(scene: Scene) -> None:
    agent_id = scene.make_agent("Pilot")
    budget_id = scene.make_budget(agent_id, "0.00001")
    task_id = scene.make_task(agent_id)

    unpaid = scene.wait_for_reason(task_id, "budget_exhausted")
    assert unpaid["summary"] == "The task waits for a budget."
    assert unpaid["link"] == f"/api/v1/budgets/{budget_id}"
    assert scene.models.requests == []

    scene.patch(f"/budgets/{budget_id}", limit_usd="1")
    asked = scene.wait_for_reason(task_id, "waiting_for_approval")
    assert asked["message"] == "Somebody has to approve or reject execute_tool:weather:note."
    approval = scene.get(asked["link"].removeprefix("/api/v1"))
    assert approval["details"]["arguments"] == {"text": "Order 7 sails."}
    assert scene.get(f"/tasks/{task_id}")["status"] == "review"
    assert scene.weather.calls == ["forecast"]

    own = scene.api.post(f"/approvals/{approval['id']}/approve", json={})
    assert own.json()["code"] == "approval.own_request"
    vote = scene.approver.post(f"/approvals/{approval['id']}/approve", json={"note": "Fair wind."})
    assert vote.json()["status"] == "approved"

    task = scene.wait_for_status(task_id, "completed")
    assert (task["result"], task["retry_count"]) == ("Order 7 sails in clear weather.", 0)
    assert scene.weather.calls == ["forecast", "note"]
    assert [asked.path for asked in scene.orders.asked] == ["/openapi.json", "/orders/7"]
    assert scene.get(f"/approvals/{approval['id']}")["used_at"] is not None

    runs = scene.get("/executions/", task_id=task_id)["items"]
    steps = [
        (step["kind"], step["tool"], step["status"])
        for run in reversed(runs)
        for step in scene.get(f"/executions/{run['id']}")["steps"]
    ]
    assert steps == [
        ("model_turn", "", "done"),
        ("tool_call", "weather:forecast", "done"),
        ("tool_call", "orders:getOrder", "done"),
        ("tool_call", "barometer:forecast", "done"),
        ("model_turn", "", "done"),
        ("tool_call", "weather:note", "done"),
        ("model_turn", "", "done"),
    ]
    budget = scene.get(f"/budgets/{budget_id}")
    spent = sum((Decimal(run["cost_usd"]) for run in runs), Decimal(0))
    assert Decimal(budget["spent_usd"]) == spent > 0
    assert Decimal(budget["reserved_usd"]) == 0
