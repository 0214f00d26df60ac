"""What the fault tests play on: a whole hub, a model, and what must be true when all is over."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg

from tests.journeys import hubs
from tests.journeys.hubs import Hub
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.script import STEPS, Answer, Hang, Step

LEASE_SECONDS: Final = int(os.environ.get("FAULT_LEASE_SECONDS", "5"))
SWEEP_SECONDS: Final = 5
# The hub takes back what is lost within lease and sweep; the rest is for slow machines.
PATIENCE_SECONDS: Final = LEASE_SECONDS + SWEEP_SECONDS + 80.0
# The supervisor gives a child up that died young five times in succession.
YOUNG_SECONDS: Final = 10.5
YOUNG_DEATHS: Final = 4
ENDED: Final = ("completed", "failed", "cancelled")
SCRIPT: Final = re.compile(r"(?P<name>[a-z]+-\d+) calls=(?P<calls>\d+) pause=(?P<pause>[\d.]+)")


def respond(body: Mapping[str, Any]) -> Step:
    """As the task's title says: `name-1 calls=3 pause=0.1`, or `peer=hang` and the like.

    Each call appends a line of the task's own; before each the model thinks for five pauses.
    """
    messages = body["messages"]
    asked = str(next(m["content"] for m in messages if m["role"] == "user"))
    if step := re.search(r"peer=(\w+)", asked):
        return STEPS[step[1]]
    script = SCRIPT.search(asked)
    assert script, asked
    done = sum(m["role"] == "tool" for m in messages)
    pause = float(script["pause"])
    if done == int(script["calls"]):
        return Answer(text=f"{script['name']} is done.", pause_seconds=pause)
    line = {"line": f"{script['name']}.{done}"}
    thought = "I write the next line."
    return Answer(text=thought, tool_calls=(("append_line", line),), pause_seconds=pause)


class Scene:
    """A serving hub whose worker has the tool `append_line`; all its work goes to `peer`."""

    def __init__(self, hub: Hub, folder: Path, peer: ModelPeer, settings: Mapping[str, str]):
        self.hub = hub
        self.folder = folder
        self.peer = peer
        self._settings = settings
        self._young_deaths: dict[str, int] = {}
        self.api = self.client()
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        token = self.api.post("/auth/login", json=body).raise_for_status().json()["token"]
        self.api.headers["Authorization"] = f"Bearer {token}"

    def client(self) -> httpx.Client:
        """A client of the REST API that nobody knows yet."""
        return httpx.Client(base_url=f"{self.hub.url}/api/v1", timeout=30, trust_env=False)

    @property
    def connection(self) -> Mapping[str, str]:
        """Addresses of the hub's own servers."""
        found: dict[str, str] = json.loads((self.folder / "connection.json").read_text())
        return found

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the hub's database says."""
        with psycopg.connect(self.connection["DATABASE_URL"], options=hubs.EVERYTHING) as database:
            return database.execute(query, values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """Put the database into a state behind the hub's back."""
        with psycopg.connect(self.connection["DATABASE_URL"], options=hubs.EVERYTHING) as database:
            database.execute(statement, values)

    def make_agent(self, name: str, **settings: Any) -> str:
        """A started agent that runs 20 tasks at once."""
        body = {
            "name": name,
            "llm_provider": "openai",
            "enabled_tools": ["append_line"],
            "max_concurrent_tasks": 20,
            **settings,
        }
        agent = self.api.post("/agents/", json=body).raise_for_status().json()
        self.api.post(f"/agents/{agent['id']}/start").raise_for_status()
        return str(agent["id"])

    def make_tasks(self, agent_id: str, titles: Sequence[str], **settings: Any) -> list[str]:
        """One task for each title, all at once."""
        task = {"agent_id": agent_id, "max_retries": 100, **settings}
        body = {"tasks": [{"title": title, **task} for title in titles]}
        answer = self.api.post("/tasks/bulk", json=body).raise_for_status().json()
        return [str(made["id"]) for made in answer["items"]]

    def task(self, task_id: str) -> Any:
        """A task as the API shows it."""
        return self.api.get(f"/tasks/{task_id}").raise_for_status().json()

    def running(self, agent_id: str) -> int:
        """How many of the agent's tasks are with a worker."""
        query = "SELECT count(*) FROM tasks_task WHERE agent_id = %s AND status = 'in_progress'"
        return int(self.rows(query, agent_id)[0][0])

    def running_at(self, agent_id: str, worker: str) -> list[tuple[Any, ...]]:
        """The agent's attempts that run at `worker`, or of which nobody knows better."""
        return self.rows(
            "SELECT attempt.id FROM tasks_taskattempt AS attempt"
            " JOIN tasks_task AS task ON task.id = task_id"
            " WHERE task.agent_id = %s AND worker = %s AND outcome = 'running'",
            agent_id,
            worker,
        )

    def worker_of(self, process: psutil.Process) -> str:
        """Its name in attempts."""
        return f"{socket.gethostname()}:{process.pid}"

    def attempts(self, agent_id: str) -> list[tuple[str, int, str, str]]:
        """(task, number, worker, outcome) of each attempt at the agent's tasks."""
        found = self.rows(
            "SELECT task.id::text, attempt.number, attempt.worker, attempt.outcome"
            " FROM tasks_taskattempt AS attempt JOIN tasks_task AS task ON task.id = task_id"
            " WHERE task.agent_id = %s ORDER BY 1, 2",
            agent_id,
        )
        return [(task, number, worker, outcome) for task, number, worker, outcome in found]

    def lines(self, name: str) -> list[str]:
        """What the tool wrote for the tasks called `name`."""
        written = self.folder / "effects.txt"
        lines = written.read_text().split() if written.exists() else []
        return [line for line in lines if line.startswith(f"{name}-")]

    def unknown_calls(self, agent_id: str) -> int:
        """How many calls were cut off between their beginning and their result."""
        return int(
            self.rows(
                "SELECT count(*) FROM agents_executionstep AS step"
                " JOIN agents_agentexecution AS run ON run.id = execution_id"
                " WHERE agent_id = %s AND step.error LIKE 'The outcome%%'",
                agent_id,
            )[0][0]
        )

    def grow_up(self, name: str) -> None:
        """Wait until a child is so old that the supervisor would start the next one at once."""
        hubs.wait_for(lambda: self._is_there(name) and _age(self.hub.member(name)) > YOUNG_SECONDS)

    def kill(self, name: str) -> psutil.Process:
        """SIGKILL a child of the supervisor as soon as it is there; returns what was killed."""
        if self._young_deaths.get(name, 0) >= YOUNG_DEATHS:
            self.grow_up(name)
        hubs.wait_for(lambda: self._is_there(name))
        child = self.hub.member(name)
        young = _age(child) < YOUNG_SECONDS
        self._young_deaths[name] = self._young_deaths.get(name, 0) + 1 if young else 1
        child.kill()
        return child

    def has_restarted(self, name: str, before: psutil.Process) -> bool:
        """Whether another process stands where `before` was, and no other; one look, not two."""
        found = self._pids(name)
        return len(found) == 1 and found != [before.pid]

    @contextmanager
    def silence(self) -> Iterator[None]:
        """No model ever answers what is asked during the block: such a run cannot end by itself."""
        self.peer.follow(Hang())
        try:
            yield
        finally:
            self.peer.follow()

    @contextmanager
    def another_worker(self, **settings: str) -> Iterator[psutil.Popen]:
        """A second worker beside the hub's own, killed at the end unless it has gone."""
        with (self.folder / "logs" / "another.log").open("ab") as log:
            worker = psutil.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=hubs.ROOT,
                env=hubs.environment(**self._settings, HUB_DATA_DIR=str(self.folder), **settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield worker
        finally:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
            worker.wait()

    def command(self, *words: str) -> tuple[int, str]:
        """Exit code and output of a command typed beside the hub."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=hubs.ROOT,
            env=hubs.environment(**self._settings, HUB_DATA_DIR=str(self.folder)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=hubs.SECONDS,
        )
        return done.returncode, done.stdout

    def let_on(self) -> None:
        """Be the person who looks at what is in review: the agents go on."""
        for (task_id,) in self.rows("SELECT id::text FROM tasks_task WHERE status = 'review'"):
            self.api.patch(f"/tasks/{task_id}", json={"status": "in_progress"})

    def _is_there(self, name: str) -> bool:
        return len(self._pids(name)) == 1

    def _pids(self, name: str) -> list[int]:
        return [process.pid for process in self.hub.family() if name in hubs.command_of(process)]


def rest(scene: Scene) -> None:
    """Wait until all tasks have ended and all events are out."""
    eventually(lambda: _all_ended(scene))
    eventually(lambda: not scene.rows(UNPUBLISHED))


def settled(scene: Scene) -> None:
    """Wait for the end of all tasks, then assert that the fault left nothing behind.

    No task that has not ended, no slot taken, the outbox empty and its numbers without a hole, the
    audit chain whole, and no lock or transaction that somebody died with.
    """
    rest(scene)
    for query in NEVER:
        assert scene.rows(query) == [], query
    eventually(lambda: not scene.rows(ORPHANS))
    code, said = scene.command("verify_audit")
    assert code == 0, said


def written_once(scene: Scene, agent_id: str, name: str, number: int) -> None:
    """Assert that the tool wrote each of the tasks' lines once.

    A call that was cut off may or may not have left its line; each other one has.
    """
    lines = Counter(scene.lines(name))
    assert [line for line, times in lines.items() if times > 1] == []
    assert number - scene.unknown_calls(agent_id) <= len(lines) <= number


def warm(scene: Scene, agent_id: str, name: str, workers: Sequence[str]) -> None:
    """Make tasks until each worker has begun one of them."""
    made: set[str] = set()

    def all_did() -> bool:
        made.update(scene.make_tasks(agent_id, [f"{name}-{len(made)} calls=0 pause=0"]))
        time.sleep(0.2)
        return {w for task, _, w, _ in scene.attempts(agent_id) if task in made} >= set(workers)

    eventually(all_did)


def spread(
    scene: Scene, agent_id: str, title: str, workers: Sequence[str], *, each: int
) -> list[str]:
    """Make tasks until each worker has `each` of the agent's under way; `title` takes a number."""
    made: list[str] = []

    def all_have() -> bool:
        made.extend(scene.make_tasks(agent_id, [title.format(len(made))]))
        time.sleep(0.2)
        return all(len(scene.running_at(agent_id, worker)) >= each for worker in workers)

    eventually(all_have)
    return made


UNPUBLISHED: Final = "SELECT 1 FROM events_outboxevent WHERE published_at IS NULL"
NEVER: Final = (
    "SELECT * FROM tasks_taskattempt WHERE outcome = 'running'",
    "SELECT * FROM agents_agentexecution WHERE status = 'running'",
    "SELECT * FROM agents_agent WHERE status = 'busy'",
    "SELECT attempt_id FROM agents_agentexecution GROUP BY attempt_id HAVING count(*) > 1",
    "SELECT resource_id FROM audit_auditevent WHERE action = 'task.complete'"
    " GROUP BY resource_id HAVING count(*) > 1",
    "SELECT 1 FROM events_outboxevent WHERE sequence IS NOT NULL"
    " HAVING count(*) <> max(sequence) - min(sequence) + 1",
)
# Sessions that sit in a transaction, with its locks, and do nothing.
ORPHANS: Final = """
    SELECT pid FROM pg_stat_activity
    WHERE state LIKE 'idle in transaction%%' AND state_change < now() - interval '2 seconds'
"""


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what the hub promises within lease and sweep."""
    hubs.wait_for(condition, PATIENCE_SECONDS)


def settings_of(folder: Path, peer: ModelPeer) -> dict[str, str]:
    """What the hub and every worker beside it are told."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "FAULT_FOLDER": str(folder),
        "HUB_OPENAI_API_KEY": KEY,
        "HUB_OPENAI_BASE_URL": f"{peer.url}/v1",
        "HUB_LEASE_SECONDS": str(LEASE_SECONDS),
        "HUB_DRAIN_SECONDS": "2",
    }


def _all_ended(scene: Scene) -> bool:
    try:
        scene.let_on()
        open_tasks = scene.rows("SELECT 1 FROM tasks_task WHERE status <> ALL(%s)", list(ENDED))
    except (psycopg.OperationalError, httpx.TransportError):
        return False  # Its servers are still on their way.
    return not open_tasks


def _age(process: psutil.Process) -> float:
    return float(time.time() - process.create_time())
