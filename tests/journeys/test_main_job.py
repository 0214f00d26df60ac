"""The main job, with real processes: an agent on a real provider protocol finishes a task."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.journeys import hubs
from tests.journeys.hubs import Hub
from tests.peers.anthropic_server import anthropic_peer
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer, Hang, Refusal

ASKS = Answer(tool_calls=(("calculator", {"expression": "6 * 7"}),), input_tokens=120)
ANSWERS = Answer(text="Six times seven is 42.", input_tokens=150, output_tokens=9)
ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture(scope="module")
def openai() -> Iterator[ModelPeer]:
    """A server of OpenAI's chat completions."""
    with openai_peer() as peer:
        yield peer


@pytest.fixture(scope="module")
def anthropic() -> Iterator[ModelPeer]:
    """A server of Anthropic's messages."""
    with anthropic_peer() as peer:
        yield peer


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose hub skips the welcome task."""
    return hubs.started_before(tmp_path_factory, "job")


@pytest.fixture(scope="module")
def hub(data_dir: Path, openai: ModelPeer, anthropic: ModelPeer) -> Iterator[Hub]:
    """A whole hub whose providers are the two servers."""
    settings = {
        "HUB_OPENAI_API_KEY": KEY,
        "HUB_OPENAI_BASE_URL": f"{openai.url}/v1",
        "HUB_ANTHROPIC_API_KEY": KEY,
        "HUB_ANTHROPIC_BASE_URL": anthropic.url,
        "HUB_LEASE_SECONDS": "5",
        "HUB_DRAIN_SECONDS": "2",
    }
    with hubs.serving(data_dir, **settings) as serving:
        yield serving


@pytest.fixture(scope="module")
def api(hub: Hub) -> Iterator[httpx.Client]:
    """The REST API, logged in as the administrator."""
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        tokens = client.post("/auth/login", json=body).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


def make_agent(api: httpx.Client, name: str, provider: str, model: str) -> str:
    """A started agent with the calculator."""
    body = {
        "name": name,
        "llm_provider": provider,
        "llm_model": model,
        "system_prompt": "Use the calculator.",
        "enabled_tools": ["calculator"],
    }
    agent = api.post("/agents/", json=body).raise_for_status().json()
    api.post(f"/agents/{agent['id']}/start").raise_for_status()
    return str(agent["id"])


@contextmanager
def listening(hub: Hub, api: httpx.Client) -> Iterator[ClientConnection]:
    """A socket that hears of tasks."""
    token = api.headers["Authorization"].removeprefix("Bearer ")
    with connect(f"{hub.url.replace('http', 'ws', 1)}/ws", proxy=None) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        assert json.loads(socket.recv(10))["type"] == "authenticated"
        socket.send(json.dumps({"type": "subscribe", "event": "task.*"}))
        assert json.loads(socket.recv(10))["type"] == "subscribed"
        yield socket


def hear_until_end(socket: ClientConnection, text: str) -> list[dict[str, Any]]:
    """Every event until a task has completed and as much text was heard: live events go past the
    outbox, so the last of them may come after the end."""
    heard: list[dict[str, Any]] = []
    while "task.completed" not in kinds_of(heard) or len(text_of(heard)) < len(text):
        heard.append(json.loads(socket.recv(30)))
    return heard


def kinds_of(heard: list[dict[str, Any]]) -> list[str]:
    """The types of the events."""
    return [event["type"] for event in heard]


def text_of(heard: list[dict[str, Any]]) -> str:
    """What the agent wrote, as far as it was heard."""
    return "".join(event["data"]["text"] for event in heard if event["type"] == "task.output")


def wait_until(api: httpx.Client, task_id: str, *statuses: str) -> dict[str, Any]:
    """The task once it has one of `statuses`."""
    task: dict[str, Any] = {}
    for _ in range(600):
        task = api.get(f"/tasks/{task_id}").raise_for_status().json()
        if task["status"] in statuses:
            return task
        time.sleep(0.1)
    pytest.fail(f"The task is still {task['status']}: {task['error']}")


def run(api: httpx.Client, agent_id: str, **values: Any) -> dict[str, Any]:
    """A new task, at its end."""
    body = {"title": "What is six times seven?", "agent_id": agent_id, **values}
    task = api.post("/tasks/", json=body).raise_for_status().json()
    return wait_until(api, task["id"], *ENDED)


def manage(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command typed beside the running hub."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=hubs.ROOT,
        env=hubs.environment(HUB_DATA_DIR=str(data_dir)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5")]
)
def test_a_task_is_done_watched_and_accounted_for(
    hub: Hub,
    api: httpx.Client,
    request: pytest.FixtureRequest,
    provider: str,
    model: str,
) -> None:
    peer: ModelPeer = request.getfixturevalue(provider)
    peer.follow(ASKS, ANSWERS)
    agent_id = make_agent(api, f"Reckoner on {provider}", provider, model)

    with listening(hub, api) as socket:
        task = run(api, agent_id)
        heard = hear_until_end(socket, ANSWERS.text)

    assert (task["status"], task["result"]) == ("completed", ANSWERS.text)
    kinds = kinds_of(heard)
    assert kinds.index("task.created") < kinds.index("task.completed")
    assert kinds.index("task.tool_call") < kinds.index("task.tool_result")
    assert text_of(heard) == ANSWERS.text
    execution = api.get("/executions/", params={"task_id": task["id"]}).json()["items"]
    assert [e["status"] for e in execution] == ["success"]
    detail = api.get(f"/executions/{execution[0]['id']}").json()
    steps = [(s["kind"], s["tool"], s["input_tokens"]) for s in detail["steps"]]
    assert steps == [
        ("model_turn", "", 120),
        ("tool_call", "calculator", 0),
        ("model_turn", "", 150),
    ]
    assert detail["steps"][1]["result"]["result"] == "42"
    assert task["cost_tokens"] == detail["input_tokens"] + detail["output_tokens"] == 284
    assert float(task["cost_usd"]) == float(detail["cost_usd"]) > 0


def test_a_refused_key_fails_the_task_with_what_to_do_and_without_the_key(
    api: httpx.Client, openai: ModelPeer
) -> None:
    openai.follow(Refusal(status=401))
    agent_id = make_agent(api, "Locked out", "openai", "gpt-4o-mini")

    task = run(api, agent_id)

    assert (task["status"], task["error_kind"], task["retry_count"]) == (
        "failed",
        "provider_auth",
        0,
    )
    assert "HUB_OPENAI_API_KEY" in task["error"]
    assert KEY not in json.dumps(task)


def test_a_rate_limited_task_waits_as_asked_and_is_done(
    api: httpx.Client, openai: ModelPeer
) -> None:
    openai.follow(Refusal(status=429, headers={"Retry-After": "2"}), ANSWERS)
    agent_id = make_agent(api, "Patient", "openai", "gpt-4o-mini")

    task = run(api, agent_id)

    assert (task["status"], task["retry_count"], task["attempt_count"]) == ("completed", 1, 2)
    executions = api.get("/executions/", params={"task_id": task["id"]}).json()["items"]
    assert sorted(e["status"] for e in executions) == ["error", "success"]


def test_a_cancelled_run_lets_go_of_its_provider(api: httpx.Client, openai: ModelPeer) -> None:
    openai.follow(Hang())
    agent_id = make_agent(api, "Cut short", "openai", "gpt-4o-mini")
    asked = len(openai.requests)
    task = api.post("/tasks/", json={"title": "Wait", "agent_id": agent_id}).json()
    hubs.wait_for(lambda: len(openai.requests) > asked)
    gone = openai.disconnects

    cancelled = api.post(f"/tasks/{task['id']}/cancel").json()

    assert cancelled["status"] == "cancelled"
    hubs.wait_for(lambda: openai.disconnects > gone)
    agent = api.get(f"/agents/{agent_id}").json()
    assert agent["status"] == "idle"


def test_a_killed_worker_loses_no_task(hub: Hub, api: httpx.Client, openai: ModelPeer) -> None:
    openai.follow(Hang(), ANSWERS)
    agent_id = make_agent(api, "Survivor", "openai", "gpt-4o-mini")
    asked = len(openai.requests)
    task = api.post("/tasks/", json={"title": "Survive", "agent_id": agent_id}).json()
    hubs.wait_for(lambda: len(openai.requests) > asked)

    hub.member("worker").kill()
    done = wait_until(api, task["id"], *ENDED)

    assert (done["status"], done["attempt_count"], done["retry_count"]) == ("completed", 2, 1)
    executions = api.get("/executions/", params={"task_id": task["id"]}).json()["items"]
    assert sorted((e["status"], e["error_kind"]) for e in executions) == [
        ("cancelled", "lost"),
        ("success", ""),
    ]


def test_a_stopped_agent_gives_its_task_back_and_finishes_it_later(
    api: httpx.Client, openai: ModelPeer
) -> None:
    openai.follow(Hang(), ANSWERS)
    agent_id = make_agent(api, "Interrupted", "openai", "gpt-4o-mini")
    asked = len(openai.requests)
    task = api.post("/tasks/", json={"title": "Go on later", "agent_id": agent_id}).json()
    hubs.wait_for(lambda: len(openai.requests) > asked)

    stopped = api.post(f"/agents/{agent_id}/stop").json()
    waiting = api.get(f"/tasks/{task['id']}").json()
    api.post(f"/agents/{agent_id}/start").raise_for_status()
    done = wait_until(api, task["id"], *ENDED)

    assert (stopped["status"], waiting["status"]) == ("offline", "assigned")
    assert (done["status"], done["retry_count"]) == ("completed", 0)


def test_everything_was_audited_sealed_and_free_of_secrets(
    api: httpx.Client, data_dir: Path
) -> None:
    run_all = ["agent.create", "agent.start", "auth.login", "task.complete", "task.create"]
    connection = json.loads((data_dir / "connection.json").read_text())

    def unsealed() -> int:
        with psycopg.connect(connection["DATABASE_URL"], options=hubs.EVERYTHING) as database:
            row = database.execute(
                "SELECT count(*) FROM audit_auditevent WHERE position IS NULL"
            ).fetchone()
        return int(row[0]) if row else 0

    hubs.wait_for(lambda: unsealed() == 0)
    verdict = manage(data_dir, "verify_audit")
    with psycopg.connect(connection["DATABASE_URL"], options=hubs.EVERYTHING) as database:
        actions = {row[0] for row in database.execute("SELECT action FROM audit_auditevent")}
        dump = " ".join(
            str(row)
            for table in ("audit_auditevent", "agents_executionstep", "events_outboxevent")
            for row in database.execute(f"SELECT * FROM {table}")
        )
    logs = "".join(file.read_text() for file in (data_dir / "logs").iterdir())

    assert verdict.returncode == 0, verdict.stderr
    assert "whole" in verdict.stdout
    assert actions.issuperset(run_all)
    assert KEY not in dump + logs
    assert hubs.PASSWORD not in dump + logs
