"""Workers that are killed at random: nothing is lost, nothing is done twice."""

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.faults.effects.tool import FILE
from tests.journeys import hubs
from tests.journeys.hubs import Hub
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer, Step

RUNS: Final = int(os.environ.get("FAULT_RUNS", "50"))
# The supervisor gives up after five deaths in quick succession, so more need longer pauses.
KILLS: Final = int(os.environ.get("FAULT_KILLS", "4"))
LONGEST_PAUSE: Final = 2.5 if KILLS < 5 else 25.0
CALLS: Final = 3
SECONDS: Final = 60 + RUNS * 3

pytestmark = pytest.mark.timeout(SECONDS * 2)


def respond(body: Mapping[str, Any]) -> Step:
    """Three lines of the task's own, one after the other, then an answer."""
    messages = body["messages"]
    asked = next(m["content"] for m in messages if m["role"] == "user")
    name = re.search(r"run-\d+", str(asked))
    assert name
    done = sum(m["role"] == "tool" for m in messages)
    if done < CALLS:
        return Answer(
            tool_calls=(("append_line", {"line": f"{name[0]}.{done}"}),), pause_seconds=0.05
        )
    return Answer(text=f"{name[0]} is done.")


@pytest.fixture(scope="module")
def peer() -> Iterator[ModelPeer]:
    """The model."""
    with openai_peer(respond=respond) as model:
        yield model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose hub skips the welcome task."""
    made = tmp_path_factory.mktemp("faults")
    (made / "welcomed").touch()
    return made


@pytest.fixture(scope="module")
def hub(folder: Path, peer: ModelPeer) -> Iterator[Hub]:
    """A whole hub with the tool that leaves traces."""
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        FILE: str(folder / "effects.txt"),
        "HUB_OPENAI_API_KEY": KEY,
        "HUB_OPENAI_BASE_URL": f"{peer.url}/v1",
        "HUB_LEASE_SECONDS": "5",
        "HUB_DRAIN_SECONDS": "2",
    }
    with hubs.serving(folder, **settings) as serving:
        yield serving


@pytest.fixture(scope="module")
def api(hub: Hub) -> Iterator[httpx.Client]:
    """The REST API, logged in."""
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        token = client.post("/auth/login", json=body).raise_for_status().json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def make_agent(api: httpx.Client) -> str:
    """A started agent that runs five tasks at once."""
    body = {
        "name": "Scribe",
        "llm_provider": "openai",
        "enabled_tools": ["append_line"],
        "max_concurrent_tasks": 5,
    }
    agent = api.post("/agents/", json=body).raise_for_status().json()
    api.post(f"/agents/{agent['id']}/start").raise_for_status()
    return str(agent["id"])


def statuses(api: httpx.Client) -> dict[str, list[str]]:
    """Ids of all tasks by status."""
    found: dict[str, list[str]] = {}
    offset = 0
    while True:
        page = api.get("/tasks/", params={"limit": 200, "offset": offset}).json()
        for task in page["items"]:
            found.setdefault(task["status"], []).append(task["id"])
        if not page["next"]:
            return found
        offset += 200


def kill_worker(hub: Hub) -> None:
    """SIGKILL, once there is one to kill."""
    hubs.wait_for(lambda: any("worker" in hubs.command_of(p) for p in hub.family()), 30)
    hub.member("worker").kill()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What the hub's own database says."""
    url = json.loads((folder / "connection.json").read_text())["DATABASE_URL"]
    with psycopg.connect(url) as database:
        return database.execute(query).fetchall()


def test_killed_at_random_nothing_is_lost_or_done_twice(
    hub: Hub, api: httpx.Client, folder: Path
) -> None:
    chance = random.Random(20)
    agent_id = make_agent(api)
    for number in range(RUNS):
        body = {"title": f"run-{number}", "agent_id": agent_id, "max_retries": 100}
        api.post("/tasks/", json=body).raise_for_status()

    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, LONGEST_PAUSE))
        kill_worker(hub)
    deadline = time.monotonic() + SECONDS
    while (found := statuses(api)).keys() != {"completed"}:
        assert time.monotonic() < deadline, {k: len(v) for k, v in found.items()}
        for task_id in found.get("review", []):
            api.patch(f"/tasks/{task_id}", json={"status": "in_progress"})
        time.sleep(0.5)

    assert len(found["completed"]) == RUNS
    lines = Counter((folder / "effects.txt").read_text().split())
    assert [line for line, times in lines.items() if times > 1] == []
    unknown = rows(
        folder, "SELECT count(*) FROM agents_executionstep WHERE error LIKE 'The outcome%'"
    )
    # A call that was cut off may or may not have left its line; each other one has.
    assert RUNS * CALLS - unknown[0][0] <= len(lines) <= RUNS * CALLS
    assert rows(folder, "SELECT 1 FROM tasks_taskattempt WHERE outcome = 'running'") == []
    assert rows(folder, "SELECT 1 FROM agents_agentexecution WHERE status = 'running'") == []
    assert (
        rows(
            folder,
            "SELECT attempt_id FROM agents_agentexecution GROUP BY attempt_id HAVING count(*) > 1",
        )
        == []
    )
    assert rows(
        folder,
        "SELECT count(*) FROM audit_auditevent WHERE action = 'task.complete'",
    ) == [(RUNS,)]
    assert api.get(f"/agents/{agent_id}").json()["status"] == "idle"
    hubs.wait_for(
        lambda: not rows(folder, "SELECT 1 FROM events_outboxevent WHERE published_at IS NULL"), 30
    )
