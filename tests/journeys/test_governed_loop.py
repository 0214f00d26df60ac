"""The governed loop, with real processes: tools of real servers, a budget, a person's word."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

import pytest

from tests.hub.front.sse import Event, Stream
from tests.journeys import hubs
from tests.journeys.governed import SECONDS, Scene, governed
from tests.peers.script import Answer, Refusal

ASKS_ORDER: Final = Answer(
    tool_calls=(("orders_getOrder", {"id": "7"}),), input_tokens=200, output_tokens=20
)
ASKS_LOADER: Final = Answer(
    tool_calls=(("agent_Loader", {"prompt": "What is in order 7?"}),),
    input_tokens=100,
    output_tokens=10,
)
LOADER: Final = (ASKS_ORDER, Answer(text="Herring.", input_tokens=300, output_tokens=5))
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "sails": {"type": "boolean"}},
    "required": ["order", "sails"],
    "additionalProperties": False,
}
FITS: Final = '{"order": 7, "sails": true}'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub and the servers around it."""
    with governed(hubs.started_before(tmp_path_factory, "governed")) as found:
        yield found


@pytest.fixture(scope="module")
def office_id(scene: Scene) -> str:
    """An agent that has another one, the loader, look into orders."""
    scene.make_agent("Loader", enabled_tools=["orders:getOrder"])
    return scene.make_agent("Office", enabled_tools=["agent:Loader"])


def steps_of(run: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, tool) of each."""
    return [(step["kind"], step["tool"]) for step in run["steps"]]


def last_message(scene: Scene) -> Any:
    """What the model was told last."""
    return scene.models.requests[-1].body["messages"][-1]["content"]


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


def test_an_agent_that_is_called_works_on_its_callers_task_and_budget(
    scene: Scene, office_id: str
) -> None:
    scene.models.follow(ASKS_LOADER, *LOADER, Answer(text="Herring sails.", input_tokens=150))
    looked = len(scene.orders.asked)

    task_id, budget_id = scene.make_budgeted_task(office_id, "What is in order 7?", "1")
    task = scene.wait_for_status(task_id, "completed")

    assert task["result"] == "Herring sails."
    caller = scene.run_of(task_id)
    assert steps_of(caller) == [
        ("model_turn", ""),
        ("tool_call", "agent:Loader"),
        ("model_turn", ""),
    ]
    (found,) = scene.get("/executions/", parent_id=caller["id"])["items"]
    called = scene.get(f"/executions/{found['id']}")
    assert (called["agent_name"], called["source"], called["depth"]) == ("Loader", "agent", 1)
    assert (called["task_id"], called["input"]) == (task_id, "What is in order 7?")
    assert steps_of(called) == [
        ("model_turn", ""),
        ("tool_call", "orders:getOrder"),
        ("model_turn", ""),
    ]
    assert [asked.path for asked in scene.orders.asked[looked:]] == ["/orders/7"]
    assert last_message(scene) == called["output"] == "Herring."
    assert (caller["input_tokens"], called["input_tokens"]) == (250, 500)
    costs = [Decimal(run["cost_usd"]) for run in (caller, called)]
    budget = scene.get(f"/budgets/{budget_id}")
    assert Decimal(budget["spent_usd"]) == Decimal(task["cost_usd"]) == sum(costs)
    assert min(costs) > 0
    assert Decimal(budget["reserved_usd"]) == 0


def test_an_agent_that_is_called_waits_where_its_callers_budget_has_no_room(scene: Scene) -> None:
    scene.make_agent("Scribe", max_tokens=4000, enabled_tools=[])
    agent_id = scene.make_agent("Captain", enabled_tools=["agent:Scribe"])
    asks = Answer(tool_calls=(("agent_Scribe", {"prompt": "Write the log."}),))
    scene.models.follow(asks, Answer(text="Fair wind."), Answer(text="The log is written."))
    before = len(scene.models.requests)

    task_id, budget_id = scene.make_budgeted_task(agent_id, "Have the log written", "0.001")
    unpaid = scene.wait_for_reason(task_id, "budget_exhausted")
    assert unpaid["link"] == f"/api/v1/budgets/{budget_id}"
    assert len(scene.models.requests) == before + 1
    scene.patch(f"/budgets/{budget_id}", limit_usd="1")

    task = scene.wait_for_status(task_id, "completed")
    assert (task["result"], task["retry_count"]) == ("The log is written.", 0)
    assert len(scene.models.requests) == before + 3
    budget = scene.get(f"/budgets/{budget_id}")
    assert Decimal(budget["spent_usd"]) == Decimal(task["cost_usd"]) > 0


def test_whoever_waits_for_a_run_gets_an_answer_that_fits_the_schema(
    scene: Scene, office_id: str
) -> None:
    wrong = '{"order": "seven", "sails": true}'
    scene.models.follow(ASKS_LOADER, *LOADER, Answer(text=wrong), Answer(text=FITS))
    before = len(scene.models.requests)

    body = {"prompt": "May order 7 sail?", "output_schema": SCHEMA}
    answer = scene.api.post(f"/agents/{office_id}/run", json=body, timeout=SECONDS)

    told = answer.raise_for_status().json()
    assert (told["status"], told["output"]) == ("success", {"order": 7, "sails": True})
    assert (told["tool_calls"], told["usage"]["prompt"]) == (2, 100 + 200 + 300 + 10 + 10)
    requests = [request.body for request in scene.models.requests[before:]]
    formats = [body.get("response_format", {}).get("type") for body in requests]
    assert formats == ["json_object", None, None, "json_object", "json_object"]
    assert "does not fit the schema: $.order" in last_message(scene)
    runs = scene.get("/executions/", task_id=told["task_id"])["items"]
    assert sum(Decimal(run["cost_usd"]) for run in runs) == Decimal(told["cost_usd"]) > 0


def test_a_stream_tells_a_run_in_order_while_it_happens(scene: Scene, office_id: str) -> None:
    heard_words = threading.Event()
    scene.models.follow(ASKS_LOADER, *LOADER, Answer(text=FITS, go_on=heard_words))
    events: list[Event] = []

    body = {"prompt": "May order 7 sail?", "output_schema": SCHEMA}
    path = f"/agents/{office_id}/stream"
    with scene.api.stream("POST", path, json=body, timeout=SECONDS) as response:
        # The model does not come to the end of its answer before its beginning was heard.
        for event in iter(Stream(response).next, None):
            events.append(event)
            if event.name == "token":
                heard_words.set()

    begun, *told = events
    assert (begun.name, begun.data["status"]) == ("progress", "begun")
    kinds = [event.name for event in told if event.name != "progress"]
    assert [name for name, _ in groupby(kinds)] == [
        "turn",
        "tool_start",
        "tool_result",
        "token",
        "turn",
        "done",
        "complete",
    ]
    *_, asked, answered = [event.data for event in told if event.name.startswith("tool_")]
    assert (asked["name"], answered["result"]) == ("agent:Loader", "Herring.")
    words = "".join(event.data["content"] for event in told if event.name == "token")
    whole = [event.data["content"] for event in told if event.name == "turn"][-1]
    # Whoever comes late to an answer hears the rest of it.
    assert words
    assert words in whole
    done, complete = told[-2].data, told[-1].data
    assert json.loads(done["content"]) == complete["result"] == {"order": 7, "sails": True}
    assert complete["task_id"] == begun.data["task_id"]
    assert complete["execution_id"] == scene.run_of(complete["task_id"])["id"]


def test_an_agent_remembers_from_task_to_task_and_no_other_one_does(scene: Scene) -> None:
    keeper_id = scene.make_agent("Keeper", enabled_tools=["memory_save", "memory_search"])
    stranger_id = scene.make_agent("Stranger", enabled_tools=["memory_search"])
    dusk = {"content": "The harbour closes at dusk.", "category": "fact", "importance": 8}
    wet = {"content": "The harbour is wet.", "importance": 2}
    saves = Answer(tool_calls=(("memory_save", wet), ("memory_save", dusk)))
    searches = Answer(tool_calls=(("memory_search", {"query": "harbour"}),))

    noted = scene.finish_task(keeper_id, "Remember this.", saves, Answer(text="Noted."))
    scene.finish_task(keeper_id, "What of the harbour?", searches, Answer(text="It closes."))
    recalled = json.loads(last_message(scene))["memories"]
    scene.finish_task(stranger_id, "What of the harbour?", searches, Answer(text="Who knows."))
    unknown = json.loads(last_message(scene))["memories"]

    texts = [dusk["content"], wet["content"]]
    assert [memory["content"] for memory in recalled] == texts
    assert unknown == []
    rows = scene.get(f"/agents/{keeper_id}/memories")["items"]
    assert [row["id"] for row in rows] == [memory["id"] for memory in recalled]
    assert [(row["content"], row["importance"]) for row in rows] == list(
        zip(texts, (8, 2), strict=True)
    )
    assert {row["execution_id"] for row in rows} == {scene.run_of(noted["id"])["id"]}
    assert scene.get(f"/agents/{stranger_id}/memories")["items"] == []

    assert scene.post(f"/agents/{keeper_id}/memories/prune", keep=1) == {"pruned_count": 1}
    assert scene.get(f"/agents/{keeper_id}/memories")["items"] == rows[:1]
    assert scene.api.get(f"/agents/memories/{rows[1]['id']}").status_code == 404
    assert scene.get(f"/agents/{keeper_id}/memory-stats")["categories"]["fact"] == 1


def test_a_run_is_played_again_for_nothing_and_forked_for_what_comes_after(scene: Scene) -> None:
    agent_id = scene.make_agent(
        "Sailor", system_prompt="Be brief.", enabled_tools=["orders:getOrder"]
    )
    task = scene.finish_task(agent_id, "May order 7 sail?", ASKS_ORDER, Answer(text="It may."))
    run = scene.run_of(task["id"])
    requests, looked = len(scene.models.requests), len(scene.orders.asked)
    spent = scene.get(f"/agents/{agent_id}")["total_cost_usd"]

    replay = scene.post(f"/executions/{run['id']}/replay")
    replayed = scene.wait_for_status(replay["task_id"], "completed")

    played = scene.run_of(replayed["id"])
    assert played["replay"] == {"of": run["id"], "tools": "recorded", "same_end": True}
    assert (played["source"], played["output"]) == ("replay", "It may.")
    assert steps_of(played) == steps_of(run)
    assert Decimal(replayed["cost_usd"]) == Decimal(played["cost_usd"]) == 0
    assert scene.get(f"/agents/{agent_id}")["total_cost_usd"] == spent
    assert (len(scene.models.requests), len(scene.orders.asked)) == (requests, looked)

    scene.patch(f"/agents/{agent_id}", system_prompt="Answer in verse.")
    scene.patch(f"/agents/{agent_id}", system_prompt="Sing.")
    scene.models.follow(Answer(text="Seven may sail.", input_tokens=90))
    fork = scene.post(f"/executions/{run['id']}/fork", step=2, version=2)
    forked = scene.wait_for_status(fork["task_id"], "completed")

    gone_on = scene.run_of(forked["id"])
    assert (forked["result"], gone_on["version"]) == ("Seven may sail.", 2)
    assert steps_of(gone_on) == [("model_turn", "")]
    (asked,) = scene.models.requests[requests:]
    system, *_, result = asked.body["messages"]
    assert "Answer in verse." in system["content"]
    assert (result["role"], "herring" in result["content"]) == ("tool", True)
    assert len(scene.orders.asked) == looked
    assert gone_on["input_tokens"] == 90
    assert Decimal(forked["cost_usd"]) == Decimal(gone_on["cost_usd"]) > 0


def test_a_dead_letter_keeps_its_history_until_it_is_done(scene: Scene) -> None:
    agent_id = scene.make_agent("Refused", enabled_tools=[])
    scene.models.follow(Refusal(status=400))
    task_id = scene.post("/tasks/", title="Load the ship", agent_id=agent_id)["id"]
    (dead,) = scene.wait_for("/dead-letter", lambda found: found["total"] == 1)["items"]
    assert (dead["id"], dead["error_type"]) == (task_id, "provider_rejected")
    assert (dead["failures"], dead["redrive_count"], dead["redriven_by"]) == (1, 0, "")

    # Once more in vain.
    scene.post(f"/dead-letter/{task_id}/retry")
    (again,) = scene.wait_for("/dead-letter", lambda found: found["total"] == 1)["items"]
    assert (again["failures"], again["redrive_count"]) == (2, 1)
    assert (
        again["redriven_by"]
        == again["metadata"]["redriven_by"]
        == f"user:{scene.get('/auth/me')['id']}"
    )
    assert dead["first_failed_at"] == again["first_failed_at"] < again["last_failed_at"]

    scene.models.follow(Answer(text="Loaded."))
    scene.post(f"/dead-letter/{task_id}/retry")
    early = scene.api.post(f"/dead-letter/{task_id}/retry")
    assert scene.wait_for_status(task_id, "completed")["result"] == "Loaded."
    late = scene.api.post(f"/dead-letter/{task_id}/retry")

    refused = (409, "dead_letter.already_redriven")
    for answer in (early, late):
        assert (answer.status_code, answer.json()["code"]) == refused
    assert scene.get("/dead-letter")["items"] == []
    attempts = scene.get(f"/tasks/{task_id}/attempts")["items"]
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "failed", "succeeded"]


def test_dead_letters_are_grouped_and_go_back_to_work_at_once(scene: Scene) -> None:
    agent_id = scene.make_agent("Turned away", enabled_tools=[])
    tasks = [{"title": f"Load ship {number}", "agent_id": agent_id} for number in range(3)]
    scene.models.follow(Refusal(status=400))
    alike = [task["id"] for task in scene.post("/tasks/bulk", tasks=tasks[:2])["items"]]
    scene.wait_for("/dead-letter", lambda found: found["total"] == 2)
    scene.models.follow(Refusal(status=401))
    other = scene.post("/tasks/", **tasks[2])["id"]
    scene.wait_for("/dead-letter", lambda found: found["total"] == 3)

    groups = scene.get("/dead-letter/groups")["items"]
    kinds = [(group["error_type"], group["count"]) for group in groups]
    assert kinds == [("provider_rejected", 2), ("provider_auth", 1)]
    scene.models.follow(Answer(text="Loaded."))
    done = scene.post("/dead-letter/retry-all", group=groups[0]["group"])

    assert (done["retried_count"], done["has_more"]) == (2, False)
    for task_id in alike:
        assert scene.wait_for_status(task_id, "completed")["result"] == "Loaded."
    assert [letter["id"] for letter in scene.get("/dead-letter")["items"]] == [other]
    assert scene.post("/dead-letter/retry-all")["retried_count"] == 1
    assert scene.wait_for_status(other, "completed")["result"] == "Loaded."
    assert scene.get("/dead-letter/stats")["total"] == 0
